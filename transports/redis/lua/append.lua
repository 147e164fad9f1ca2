-- Adds a publication, whose publisher has given it an id, to the stream, and then notes that id. If another node has
-- published it meanwhile, what is added in its place says nothing. It fails only when nothing was added: the rest of its
-- transaction would be added twice.
-- KEYS: stream, claim. ARGV: id of the publication, milliseconds of the claim, most entries, uid, n, namespace,
--       type, data, type and data of what says nothing
local a = ARGV
local first = redis.pcall('GET', KEYS[2])
local void = type(first) == 'string' and first ~= '' and first ~= a[1]
local kind, data = a[7], a[8]
if void then kind, data = a[9], a[10] end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', a[3], '*', 'uid', a[4], 'n', a[5], 'nsp', a[6], 'type', kind, 'data', data)
if not void then redis.pcall('SET', KEYS[2], a[1], 'PX', a[2]) end
return id
