-- Notes who has come and gone and publishes it.
-- KEYS: who is there (sorted set without scores)
-- ARGV: PUBLISH or SPUBLISH or "", channel, body, milliseconds, number of those who have come, they, those who are gone
local a = ARGV
local change = 0
local kept = pcall(function()
  local first = 6 + tonumber(a[5])
  for i = 6, #a do
    if i < first then
      change = change + redis.call('ZADD', KEYS[1], 0, a[i])
    else
      change = change - redis.call('ZREM', KEYS[1], a[i])
    end
  end
  redis.call('PEXPIRE', KEYS[1], a[4])
end)
if a[1] ~= '' then redis.call(a[1], a[2], a[3]) end
return {kept and 1 or 0, change}
