-- Answers that need no walk. ARGV: what, then its own.
local what = ARGV[1]
if what == 'get' then
  local found = {}
  for place = 2, #ARGV do
    local id = redis.call('HGET', key('alias'), ARGV[place]) or ARGV[place]
    if redis.call('EXISTS', hash(id)) == 1 then table.insert(found, row(id)) end
  end
  return found
elseif what == 'mark' then
  return redis.call('GET', key('mark')) or '0'
elseif what == 'usage' then
  local found = redis.call('HMGET', key('usage'), 'letters', 'bytes')
  return {found[1] or '0', found[2] or '0'}
elseif what == 'jobs' then
  local found = {}
  for _, id in ipairs(redis.call('ZREVRANGEBYLEX', key('jobs'), '+', '-')) do
    local job = redis.call('HMGET', key('job:' .. id), 'version', 'open', 'body')
    table.insert(job, 1, id)
    table.insert(found, job)
  end
  return found
end
-- Counts by state: ready (lapsed leases included), leased, parked, archived, bytes, and the oldest ready letter's time.
local lapsed = redis.call('ZRANGEBYSCORE', key('leases'), '-inf', ARGV[2])
local oldest = redis.call('ZRANGE', key('born'), 0, 0, 'WITHSCORES')[2]
for _, id in ipairs(lapsed) do
  local created = redis.call('HGET', hash(id), 'created')
  if not oldest or tonumber(created) < tonumber(oldest) then oldest = created end
end
local function many(state) return redis.call('ZCARD', key('in:' .. state)) end
return {whole(many('ready') + #lapsed), whole(many('leased') - #lapsed), whole(many('parked')), whole(many('archived')),
  redis.call('HGET', key('usage'), 'bytes') or '0', oldest and whole(tonumber(oldest)) or false}
