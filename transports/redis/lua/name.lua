-- Notes that a room retains something: 1, or 0 when another name had to go for it.
-- KEYS: names of such rooms (sorted set without scores). ARGV: room, milliseconds, 0 for ever, or "" as it is, most names
local all = 1
if redis.call('ZADD', KEYS[1], 0, ARGV[1]) == 1 and redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[3]) then
  all = 0
  redis.call('ZREM', KEYS[1], redis.call('ZRANGE', KEYS[1], 0, 0)[1])
end
if ARGV[2] == '0' then redis.call('PERSIST', KEYS[1]) elseif ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return all
