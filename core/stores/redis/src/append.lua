-- Adds a letter. ARGV: id, what was seen of letters that may be the same work, idempotency key, correlation id (either empty: does not count), then fields.
-- Gives {'stored'}, {'known'}, or {'twins', seen, rows…} if there are such letters and they have changed since they were looked at.
local id = ARGV[1]
if redis.call('HEXISTS', key('alias'), id) == 1 or redis.call('EXISTS', hash(id)) == 1 then return {'known'} end
local twins, seen = {}, ''
for place, set in ipairs({'work:', 'trace:'}) do
  local value = ARGV[2 + place]
  local ids = value ~= '' and redis.call('SMEMBERS', key(set .. value)) or {}
  table.sort(ids)
  for _, twin in ipairs(ids) do
    local found = row(twin)
    if found[3] == 'ready' or found[3] == 'leased' then
      table.insert(twins, found)
      seen = seen .. twin .. ':' .. found[9] .. ':' .. found[6] .. ' '
    end
  end
end
if #twins > 0 and seen ~= ARGV[2] then
  table.insert(twins, 1, seen)
  table.insert(twins, 1, 'twins')
  return twins
end
redis.call('HSET', hash(id), 'mark', next_mark(), unpack(ARGV, 5))
for _, set in ipairs(works(id)) do redis.call('SADD', set, id) end
local found = redis.call('HMGET', hash(id), 'state', 'size')
enter(id, found[1])
redis.call('HINCRBY', key('usage'), 'letters', 1)
redis.call('HINCRBY', key('usage'), 'bytes', found[2])
redis.call('SADD', KEYS[2], string.match(base, '^seawall:{(.*)}:$'))
return {'stored'}
