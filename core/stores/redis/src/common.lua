-- What all scripts share. KEYS[1] is what every key of a queue begins with; KEYS[2] the set of all queues' names.
local base = KEYS[1]
local function key(name) return base .. name end
local function hash(id) return base .. 'letter:' .. id end

-- Lua writes great numbers with an exponent, which nobody could read back.
local function whole(number) return string.format('%.0f', number) end

-- What is read of a letter, in this order, after its id.
local ROW = {'record', 'state', 'lease_until', 'redrives', 'fence', 'refailed', 'archived', 'mark'}

local function row(id)
  local found = redis.call('HMGET', hash(id), unpack(ROW))
  table.insert(found, 1, id)
  return found
end

local function next_mark() return redis.call('INCR', key('mark')) end

local function leave(id, state)
  redis.call('ZREM', key('in:' .. state), id)
  if state == 'leased' then redis.call('ZREM', key('leases'), id) end
  if state == 'ready' then redis.call('ZREM', key('born'), id) end
end

local function enter(id, state)
  redis.call('ZADD', key('in:' .. state), 0, id)
  if state == 'leased' then redis.call('ZADD', key('leases'), redis.call('HGET', hash(id), 'lease_until'), id) end
  if state == 'ready' then redis.call('ZADD', key('born'), redis.call('HGET', hash(id), 'created'), id) end
end

local function move(id, to)
  leave(id, redis.call('HGET', hash(id), 'state'))
  redis.call('HSET', hash(id), 'state', to)
  enter(id, to)
end

local function works(id)
  local found = redis.call('HMGET', hash(id), 'idempotency_key', 'correlation_id')
  local sets = {}
  if found[1] then table.insert(sets, key('work:' .. found[1])) end
  if found[2] then table.insert(sets, key('trace:' .. found[2])) end
  return sets
end

local function remove(id)
  local found = redis.call('HMGET', hash(id), 'state', 'size')
  leave(id, found[1])
  for _, set in ipairs(works(id)) do redis.call('SREM', set, id) end
  for _, alias in ipairs(redis.call('SMEMBERS', key('aliases:' .. id))) do redis.call('HDEL', key('alias'), alias) end
  redis.call('DEL', hash(id), key('aliases:' .. id))
  redis.call('HINCRBY', key('usage'), 'bytes', '-' .. found[2])
  if redis.call('HINCRBY', key('usage'), 'letters', -1) == 0 then
    redis.call('DEL', key('usage'))
    redis.call('SREM', KEYS[2], string.match(base, '^seawall:{(.*)}:$'))
  end
  return tonumber(found[2])
end
