-- Counts against several limits, all or none, by the rules of gateway/state/sums.py: never more than a limit in a window.
--
-- KEYS   the house's epoch; the partner's counters by their end; one counter for each limit
-- ARGV   the server's run; seconds for which nothing is counted after a loss; most counters of a partner; 1 where it is
--        counted though a limit is reached; which secret keys the digests; then for each limit: digest of the counter,
--        window (seconds), most, amount
-- reply  a list: 1 counted, 0 not counted, 2 the house must be opened first, 3 memory was lost, 4 full; then for each
--        limit 1 where it is reached, and the part of the window that was counted in; then when, in milliseconds
--
-- A counter is a hash of amounts by part of the window.
local PARTS = 60
local now = clock()
local until_lost = lost_until(KEYS[1], ARGV[1], ARGV[5], now)
if not until_lost then
  return {2}
end
local limits = #KEYS - 2
local reply, reached, new = {1}, false, 0
for i = 1, limits do
  local at = 4 * i
  local window, most, amount = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  if until_lost + math.min(window, tonumber(ARGV[2])) > now then
    return {3}
  end
  local part = math.floor(now * PARTS / window)
  local held, sum = redis.call('HGETALL', KEYS[i + 2]), 0
  if #held == 0 then
    new = new + 1
  end
  for j = 1, #held, 2 do
    if tonumber(held[j]) < part - PARTS then
      redis.call('HDEL', KEYS[i + 2], held[j])
    else
      sum = sum + tonumber(held[j + 1])
    end
  end
  if sum + amount > most then
    reached, reply[2 * i] = true, 1
  else
    reply[2 * i] = 0
  end
  reply[2 * i + 1] = part
end
reply[2 * limits + 2] = math.floor(now * 1000)
if reached and ARGV[4] ~= '1' then
  reply[1] = 0
  return reply
end
local function forget(count)
  local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now), 'LIMIT', 0, count)
  if #over > 0 then
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, #over - 1)
  end
end
forget(4)
if new > 0 and redis.call('ZCARD', KEYS[2]) + new > tonumber(ARGV[3]) then
  forget(256)
  if redis.call('ZCARD', KEYS[2]) + new > tonumber(ARGV[3]) then
    return {4}
  end
end
for i = 1, limits do
  local at = 4 * i
  local window, part = tonumber(ARGV[at + 3]), reply[2 * i + 1]
  local ends = (part + 1 + PARTS) * window / PARTS
  redis.call('HINCRBY', KEYS[i + 2], string.format('%d', part), ARGV[at + 5])
  local left = math.ceil((ends - now) * 1000) + 60000
  redis.call('PEXPIRE', KEYS[i + 2], left)
  redis.call('ZADD', KEYS[2], string.format('%.6f', ends), ARGV[at + 2])
  if redis.call('PTTL', KEYS[2]) < left + 86400000 then
    redis.call('PEXPIRE', KEYS[2], left + 2 * 86400000)
  end
end
return reply
