-- Saves a job whose version is still the one that was read. ARGV: id, version, whether it is open, body, how many ended ones are kept. Gives 1 or 0.
local id, name = ARGV[1], key('job:' .. ARGV[1])
if (redis.call('HGET', name, 'version') or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', name, 'version', whole(tonumber(ARGV[2]) + 1), 'open', ARGV[3], 'body', ARGV[4])
redis.call('ZADD', key('jobs'), 0, id)
redis.call(ARGV[3] == '1' and 'ZREM' or 'ZADD', key('ended'), unpack(ARGV[3] == '1' and {id} or {0, id}))
for _, old in ipairs(redis.call('ZREVRANGEBYLEX', key('ended'), '+', '-', 'LIMIT', tonumber(ARGV[5]), 1000)) do
  redis.call('ZREM', key('ended'), old)
  redis.call('ZREM', key('jobs'), old)
  redis.call('DEL', key('job:' .. old))
end
return 1
