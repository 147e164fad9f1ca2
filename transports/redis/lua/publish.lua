-- Keeps a publication and publishes it. What cannot be kept is published all the same. What another node has published
-- meanwhile, under the same id of its publisher's, is neither kept nor published: 2.
-- KEYS: history (list), its bytes (counter), retained value, last numbers (hash), claim
-- ARGV: PUBLISH or SPUBLISH or "", channel, body, entry, 1: append to history, 1: after a gap, most entries, most bytes,
--       milliseconds of history, "", "set" or "del": retained, milliseconds of that or 0, claimed id or "", milliseconds of it
--       or 0: it is noted elsewhere, epoch, number
local a = ARGV
if a[12] ~= '' then
  local first = redis.pcall('GET', KEYS[5])
  if type(first) == 'string' and first ~= '' and first ~= a[12] then return 2 end
end
local kept = pcall(function()
  if a[5] == '1' then
    if a[6] == '1' then redis.call('RPUSH', KEYS[1], '') end
    local n = redis.call('RPUSH', KEYS[1], a[4])
    local bytes = redis.call('INCRBY', KEYS[2], #a[4])
    local most, mostBytes = tonumber(a[7]), tonumber(a[8])
    while n > 1 and (n > most or bytes > mostBytes) do
      bytes = redis.call('DECRBY', KEYS[2], #redis.call('LPOP', KEYS[1]))
      n = n - 1
    end
    if n == 1 then redis.call('SET', KEYS[2], #a[4]) end
    redis.call('PEXPIRE', KEYS[1], a[9])
    redis.call('PEXPIRE', KEYS[2], a[9])
  end
  if a[10] == 'set' then
    redis.call('SET', KEYS[3], a[4])
    if a[11] ~= '0' then redis.call('PEXPIRE', KEYS[3], a[11]) end
  elseif a[10] == 'del' then
    redis.call('SET', KEYS[3], '', 'PX', a[11] ~= '0' and a[11] or '86400000') -- for those who have heard of another one
  end
  if a[12] ~= '' and a[13] ~= '0' then redis.call('SET', KEYS[5], a[12], 'PX', a[13]) end
  if redis.call('HLEN', KEYS[4]) > 256 then redis.call('DEL', KEYS[4]) end
  redis.call('HSET', KEYS[4], a[14], a[15])
  redis.call('PEXPIRE', KEYS[4], a[9])
end)
if a[1] ~= '' then redis.call(a[1], a[2], a[3]) end
return kept and 1 or 0
