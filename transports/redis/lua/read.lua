-- Reads what is kept of a room. What is of another type is as if it were not there.
-- KEYS: history, who is there, retained value, last numbers
-- ARGV: publications, members, 1: the retained value
local function try(...)
  local r = redis.pcall(...)
  if type(r) == 'table' and r.err then return false end
  return r
end
local history, count, members, retained = {}, 0, {}, false
if ARGV[1] ~= '0' then history = try('LRANGE', KEYS[1], '-' .. ARGV[1], -1) or {} end
if ARGV[2] ~= '0' then
  count = try('ZCARD', KEYS[2]) or 0
  members = try('ZRANGE', KEYS[2], 0, ARGV[2] - 1) or {}
end
if ARGV[3] == '1' then retained = try('GET', KEYS[3]) end
local last = try('HGETALL', KEYS[4]) or {}
return {history, count, members, retained, last}
