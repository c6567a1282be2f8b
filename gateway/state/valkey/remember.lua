-- Takes an idempotency key into flight, or tells what is known of it, by the rules of gateway/state/keys.py.
--
-- KEYS   the house's epoch; the partner's keys by their end; the sizes of its answers; this key
-- ARGV   the server's run; seconds for which a key that is not known is refused after a loss; most keys of a partner;
--        digest of the key; digest of the request; seconds of its lease, and until it is forgotten; 1 where it may be
--        taken though it is not known; 1 where one of unknown fate may be taken; token; which secret keys the digests
-- reply  a list: the state as KeyState has it, and the answer where there is one; `unopened` where the house must be
--        opened first; `full`
--
-- A key is a hash: s sameness, k state, l end of its lease, u when it is forgotten, t token, a answer.
local now = clock()
local until_lost = lost_until(KEYS[1], ARGV[1], ARGV[11], now)
if not until_lost then
  return {'unopened'}
end
local most, digest, sameness = tonumber(ARGV[3]), ARGV[4], ARGV[5]
local lease, ends, fresh, again = now + tonumber(ARGV[6]), now + tonumber(ARGV[7]), ARGV[8] == '1', ARGV[9] == '1'

local function forget(count)
  local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now), 'LIMIT', 0, count)
  for _, one in ipairs(over) do
    local size = redis.call('HGET', KEYS[3], one)
    if size then
      redis.call('HINCRBY', KEYS[3], 'all', -tonumber(size))
      redis.call('HDEL', KEYS[3], one)
    end
    redis.call('ZREM', KEYS[2], one)
  end
  return #over
end
forget(4)

local held = redis.call('HMGET', KEYS[4], 's', 'k', 'l', 'u', 'a')
local state, is_held = 'absent', false
if held[1] and tonumber(held[4]) > now then
  is_held = true
  local same = held[1] == sameness
  state = held[2]
  if state == 'free' then
    if not same then
      state = 'absent'
    end
  elseif not same then
    return {'of another request'}
  elseif state == 'in flight' and tonumber(held[3]) <= now then
    state = 'unknown'
  end
end
local lost = until_lost + tonumber(ARGV[2]) > now
if lost and (state == 'free' or (state == 'absent' and fresh)) then
  state = 'unknown' -- it may have been taken since: the store has lost some of its memory
end
local free = state == 'free' or (state == 'absent' and fresh)
if not free and not (state == 'unknown' and again) then
  if state == 'answered' and held[5] then
    return {state, held[5]}
  end
  return {state}
end
if not is_held then
  if redis.call('ZCARD', KEYS[2]) >= most then
    forget(256)
    if redis.call('ZCARD', KEYS[2]) >= most then
      return {'full'}
    end
  end
end
local size = redis.call('HGET', KEYS[3], digest)
if size then
  redis.call('HINCRBY', KEYS[3], 'all', -tonumber(size))
  redis.call('HDEL', KEYS[3], digest)
end
redis.call('DEL', KEYS[4])
redis.call('HSET', KEYS[4], 's', sameness, 'k', 'in flight', 'l', string.format('%.6f', lease),
  'u', string.format('%.6f', ends), 't', ARGV[10])
local left = math.ceil((ends - now) * 1000)
redis.call('PEXPIRE', KEYS[4], left + 60000)
redis.call('ZADD', KEYS[2], string.format('%.6f', ends), digest)
for at = 2, 3 do
  if redis.call('PTTL', KEYS[at]) < left + 86400000 then
    redis.call('PEXPIRE', KEYS[at], left + 2 * 86400000)
  end
end
if free then
  return {'new'}
end
return {'again'}
