-- Ends a lease that is over, or with force any: its run of a node is to be cleared away, and cannot come back.
-- KEYS: leases, nodes that are being cleared away. ARGV: the run, 1: force
local t = redis.call('TIME')
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends then return 0 end
if ARGV[2] ~= '1' and tonumber(ends) > t[1] * 1000 + math.floor(t[2] / 1000) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], ARGV[1])
return 1
