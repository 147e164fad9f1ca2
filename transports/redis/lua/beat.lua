-- Renews a node's lease, and tells which other leases are over.
-- KEYS: leases (sorted set by when they end), nodes that are being cleared away (set)
-- ARGV: this node's run, milliseconds of its lease
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[2]), ARGV[1])
return {known and 1 or 0, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100), redis.call('SRANDMEMBER', KEYS[2], 100)}
