-- Lifts a lock-out by its name, once; also one that the store has lost, as gates may have it in their journals.
--
-- KEYS   who is locked out; events by number; what they count from (see fail.lua)
-- ARGV   caller; the lock-out's name; name of the epoch, should one begin here; what the event says
-- reply  1 lifted, 0 it was before
local lifted = 'lifted ' .. ARGV[2]
if redis.call('HEXISTS', KEYS[1], lifted) == 1 then
  return 0
end
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and string.match(held, '^%S+') == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
if redis.call('HEXISTS', KEYS[3], 'epoch') == 0 then
  redis.call('HSET', KEYS[3], 'epoch', ARGV[3])
end
local ends = string.format('%.3f', clock() + 86400) -- no lock-out lasts longer
redis.call('HSET', KEYS[1], lifted, ends)
local number = redis.call('HINCRBY', KEYS[3], 'last', 1)
redis.call('ZADD', KEYS[2], number, ends .. ' lift ' .. ARGV[2] .. ' ' .. ARGV[1] .. ' ' .. ARGV[4])
for at = 1, 3 do
  if redis.call('PTTL', KEYS[at]) < 86400000 then
    redis.call('PEXPIRE', KEYS[at], 2 * 86400000)
  end
end
return 1
