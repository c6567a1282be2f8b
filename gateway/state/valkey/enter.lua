-- Takes one of a partner's places on a route, where there is one.
--
-- KEYS   the places: tokens by the end of their lease
-- ARGV   most places, lease (seconds), token
-- reply  1 taken, 0 not
local now = clock()
local lease = tonumber(ARGV[2])
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
if #over > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #over - 1)
end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[1], string.format('%.6f', now + lease), ARGV[3])
local left = lease * 1000 + 60000
if redis.call('PTTL', KEYS[1]) < left then
  redis.call('PEXPIRE', KEYS[1], left)
end
return 1
