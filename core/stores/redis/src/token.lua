-- What an answer changes of a letter and not of its record. ARGV: what, id, fence, a number. Gives 1, or 0 if the token is void.
local what, id = ARGV[1], ARGV[2]
local found = redis.call('HMGET', hash(id), 'state', 'fence', 'redrives')
if not found[1] or found[2] ~= ARGV[3] then return 0 end
if what == 'delete' then
  if found[1] ~= 'leased' and found[1] ~= 'archived' then return 0 end
  remove(id)
  return 1
end
if found[1] ~= 'leased' then return 0 end
if what == 'extend' then
  redis.call('HSET', hash(id), 'lease_until', ARGV[4])
  redis.call('ZADD', key('leases'), ARGV[4], id)
else
  -- The record stays as it is: this is also the way out for a letter that cannot be read.
  redis.call('HSET', hash(id), 'redrives', whole(math.max(tonumber(found[3]) - 1, 0)))
  if what == 'parked' then redis.call('HSET', hash(id), 'mark', next_mark()) end
  move(id, what)
end
return 1
