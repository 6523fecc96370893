-- Looks at some letters in the order of their ids, and does something with those that match. ARGV: what, the query and its options (JSON), now, the last
-- id seen, how many to look at. Gives the last id of this step, or an empty text at the end, and what was found.
local what, query, now, after, room = ARGV[1], cjson.decode(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local backwards = what == 'peek'

local function candidates()
  local all = {}
  if query.id then
    all = {query.id}
  elseif query.correlation_id then
    all = redis.call('SMEMBERS', key('trace:' .. query.correlation_id))
  else
    for _, state in ipairs(query.columns) do
      local ids
      if backwards then
        ids = redis.call('ZREVRANGEBYLEX', key('in:' .. state), after == '' and '+' or '(' .. after, '-', 'LIMIT', 0, room)
      else
        ids = redis.call('ZRANGEBYLEX', key('in:' .. state), after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, room)
      end
      for _, id in ipairs(ids) do table.insert(all, id) end
    end
  end
  local chosen = {}
  for _, id in ipairs(all) do
    if after == '' or (backwards and id < after) or (not backwards and id > after) then table.insert(chosen, id) end
  end
  table.sort(chosen, function(a, b) if backwards then return a > b end return a < b end)
  return chosen
end

local FIELDS = {'state', 'lease_until', 'fingerprint', 'error_type', 'error_code', 'policy', 'key', 'correlation_id', 'operation', 'created', 'mark',
  'lease_owner', 'archived', 'redrivable', 'min_reader', 'size'}

local function read(id)
  local values, letter = redis.call('HMGET', hash(id), unpack(FIELDS)), {id = id}
  if not values[1] then return nil end
  for place, name in ipairs(FIELDS) do letter[name] = values[place] end
  letter.seen = letter.state
  if letter.state == 'leased' and tonumber(letter.lease_until) <= now then letter.seen = 'ready' end
  return letter
end

local function matches(letter)
  if query.states and not query.states[letter.seen] then return false end
  for _, name in ipairs({'fingerprint', 'policy', 'key', 'correlation_id', 'operation', 'lease_owner'}) do
    if query[name] and query[name] ~= letter[name] then return false end
  end
  local wanted = query.error
  if wanted then
    local dotted = '.' .. wanted
    if letter.error_type ~= wanted and letter.error_code ~= wanted and string.sub(letter.error_type, -#dotted) ~= dotted then return false end
  end
  local created, mark = tonumber(letter.created), tonumber(letter.mark)
  if query.older_than and created >= query.older_than then return false end
  if query.newer_than and created < query.newer_than then return false end
  if query.bound and mark > query.bound then return false end
  if query.since and mark <= query.since then return false end
  if query.archived_before and tonumber(letter.archived or letter.created) >= query.archived_before then return false end
  if query.actionable ~= nil then
    local is = letter.redrivable == '1' and tonumber(letter.min_reader) <= query.schema
    if is ~= query.actionable then return false end
  end
  return true
end

local found, count, bytes, groups, order = {}, 0, 0, {}, {}
local act = {}
function act.count() end
function act.peek(letter) table.insert(found, row(letter.id)) end
function act.purge(letter) remove(letter.id) end
function act.evict(letter) bytes = bytes + remove(letter.id) end
function act.shift(letter)
  redis.call('HSET', hash(letter.id), 'mark', next_mark())
  if query.to == 'archived' then redis.call('HSET', hash(letter.id), 'archived', whole(now)) else redis.call('HDEL', hash(letter.id), 'archived') end
  move(letter.id, query.to)
end
function act.claim(letter)
  local name = hash(letter.id)
  redis.call('HINCRBY', name, 'fence', 1)
  redis.call('HINCRBY', name, 'redrives', 1)
  redis.call('HSET', name, 'lease_until', query.lease_until, 'lease_owner', query.owner, 'refailed', '0')
  move(letter.id, 'leased')
  table.insert(found, row(letter.id))
end
function act.groups(letter)
  local group = groups[letter.fingerprint]
  if not group then
    group = {letter.fingerprint, 0, letter.created, letter.created, letter.id}
    groups[letter.fingerprint] = group
    table.insert(order, group)
  end
  group[2] = group[2] + 1
  if tonumber(letter.created) < tonumber(group[3]) then group[3] = letter.created end
  if tonumber(letter.created) > tonumber(group[4]) then group[4] = letter.created end
  group[5] = letter.id
end

if what == 'claim' and query.most and after == '' then
  -- Whoever delivered these did not live to answer, time after time.
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', whole(now))) do
    if tonumber(redis.call('HGET', hash(id), 'redrives')) >= query.most then move(id, 'parked') end
  end
end

local ids, last = candidates(), ''
local ends = query.id or query.correlation_id or #ids < room
for place, id in ipairs(ids) do
  if place > room and not (query.id or query.correlation_id) then break end
  if query.limit and count >= query.limit and (not query.bytes or bytes >= query.bytes) then ends = true break end
  last = id
  local letter = read(id)
  if letter and matches(letter) and not (what == 'evict' and letter.seen == 'leased') then
    count = count + 1
    act[what](letter)
  end
end
if query.limit and count >= query.limit and (not query.bytes or bytes >= query.bytes) then ends = true end
return {ends and '' or last, whole(count), whole(bytes), what == 'groups' and order or found}
