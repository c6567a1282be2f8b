-- Claims a key for the first and only time, by the rules of gateway/state/nonces.py.
--
-- KEYS   the house's epoch; the claims of one space
-- ARGV   the server's run; seconds for which the caller holds dated claims at least; most claims of a space; the key's
--        fingerprint; when it is dated (empty: undated); until when it is held, or for how long where it is undated
-- reply  0 new, 1 seen, 2 unknowable, 3 the house must be opened first, 4 full
local now = clock()
local epoch = redis.call('HMGET', KEYS[1], 'run', 'longest', 'lost', 'floor', 'forgotten', 'prolonged')
if epoch[1] ~= ARGV[1] or tonumber(epoch[2]) < tonumber(ARGV[2]) then
  return 3
end
local longest, lost, floor = tonumber(epoch[2]), tonumber(epoch[3]), tonumber(epoch[4])
local forgotten, prolonged = tonumber(epoch[5]), tonumber(epoch[6])
local due = now - prolonged -- claims are written with ends that lie so much earlier
local most, print, dated = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])

local score = redis.call('ZSCORE', KEYS[2], print)
if score and tonumber(score) > due then
  return 1
end
local ends
if dated then
  ends = math.floor(math.max(dated + longest, tonumber(ARGV[6]))) + 1
  if ends <= forgotten or dated <= floor or dated <= lost then
    return 2
  end
else
  local hold = tonumber(ARGV[6])
  ends = math.floor(now + hold) + 1
  if forgotten > now + 60 or now - hold <= lost then
    return 2
  end
end
if ends <= now then
  return 2
end

local function forget(count)
  local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', due), 'WITHSCORES', 'LIMIT', 0, count)
  if #over > 0 then
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, #over / 2 - 1)
    local latest = tonumber(over[#over]) + prolonged
    if latest > forgotten then
      forgotten = latest
      redis.call('HSET', KEYS[1], 'forgotten', string.format('%d', latest))
    end
  end
end

if string.byte(print) % 8 == 0 then
  forget(32)
end
if redis.call('ZCARD', KEYS[2]) >= most then
  forget(256)
  if redis.call('ZCARD', KEYS[2]) >= most then
    return 4
  end
end
redis.call('ZADD', KEYS[2], string.format('%d', ends - prolonged), print)
local day, left = 86400000, math.ceil((ends - now) * 1000)
if redis.call('PTTL', KEYS[2]) < left + day then -- a space in which nobody claims any more goes two days later
  redis.call('PEXPIRE', KEYS[2], left + 2 * day)
end
return 0
