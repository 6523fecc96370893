-- Changes a letter that is still as it was seen. ARGV: id, mark, fence and state as seen, the new state, an alias to add (empty: none), whether its mark
-- moves, then fields. Gives 1, or 0 if it has changed meanwhile or is gone.
local id = ARGV[1]
local found = redis.call('HMGET', hash(id), 'mark', 'fence', 'state', 'size')
if found[1] ~= ARGV[2] or found[2] ~= ARGV[3] or found[3] ~= ARGV[4] then return 0 end
if ARGV[7] == '1' then redis.call('HSET', hash(id), 'mark', next_mark()) end
if #ARGV > 7 then redis.call('HSET', hash(id), unpack(ARGV, 8)) end
if ARGV[5] ~= ARGV[4] then move(id, ARGV[5]) end
local grown = tonumber(redis.call('HGET', hash(id), 'size')) - tonumber(found[4])
if grown ~= 0 then redis.call('HINCRBY', key('usage'), 'bytes', whole(grown)) end
if ARGV[6] ~= '' then
  redis.call('HSET', key('alias'), ARGV[6], id)
  redis.call('SADD', key('aliases:' .. id), ARGV[6])
end
return 1
