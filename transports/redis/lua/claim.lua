-- Claims a publisher's own id: answers nothing when it is new, else what the first one has become.
-- KEYS: claim. ARGV: milliseconds
local first = redis.call('GET', KEYS[1])
if first then return first end
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
return false
