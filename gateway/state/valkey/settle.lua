-- Tells what became of a key in flight.
--
-- KEYS   the partner's keys by their end; the sizes of its answers; this key
-- ARGV   digest of the key; token; the new state; the answer (empty: none); 1 where a free key need not be remembered;
--        most bytes of answers of a partner
-- reply  1 where it was in flight by this token, 0 where it was not
local held = redis.call('HMGET', KEYS[3], 't', 'k')
if held[1] ~= ARGV[2] or held[2] ~= 'in flight' then
  return 0
end
local state, answer = ARGV[3], ARGV[4]
if state == 'free' and ARGV[5] == '1' then
  redis.call('DEL', KEYS[3])
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 1
end
if answer ~= '' then
  local all = tonumber(redis.call('HGET', KEYS[2], 'all') or '0')
  if all + #answer > tonumber(ARGV[6]) then
    state = 'answered, and the answer was not kept'
  else
    redis.call('HSET', KEYS[3], 'a', answer)
    redis.call('HSET', KEYS[2], ARGV[1], #answer)
    redis.call('HINCRBY', KEYS[2], 'all', #answer)
    redis.call('PEXPIRE', KEYS[2], math.max(redis.call('PTTL', KEYS[1]), 1000))
  end
end
redis.call('HSET', KEYS[3], 'k', state)
return 1
