-- Counts a failed authentication; locks the caller out with the last one that it may have.
--
-- KEYS   when each caller failed; callers by when they failed last; who is locked out (`LOCK UNTIL`), and `lifted LOCK`;
--        events by number; what they count from (`epoch`, `last`)
-- ARGV   caller; failures that lock out, and the seconds in which they count; seconds of a lock-out; most callers that
--        are counted; most events that are kept; name of the epoch, should one begin here; what the event says
-- reply  0 counted, 1 locked out just now, 2 locked out already; for 1 and 2 the lock-out's name, and the milliseconds
--        that it has left
--
-- An event is `UNTIL ACTION LOCK CALLER WHAT`: when it is over, `lock` or `lift`, and the lock-out's name, which is made of
-- the epoch and the number of the event.
local now = clock()
local caller, after, within = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local held = redis.call('HGET', KEYS[3], caller)
if held then
  local lock, ends = string.match(held, '^(%S+) (%S+)$')
  if tonumber(ends) > now then
    return {2, lock, math.ceil((tonumber(ends) - now) * 1000)}
  end
end

local times = {}
for time in string.gmatch(redis.call('HGET', KEYS[1], caller) or '', '%S+') do
  times[#times + 1] = time
end
times[#times + 1] = string.format('%.3f', now)
local first = math.max(1, #times - after + 1)

local function lasts(key, seconds) -- keys that nobody writes to any more go a day after they count
  local left = math.ceil(seconds * 1000) + 86400000
  if redis.call('PTTL', key) < left - 3600000 then
    redis.call('PEXPIRE', key, left)
  end
end

if #times < after or tonumber(times[first]) < now - within then
  redis.call('HSET', KEYS[1], caller, table.concat(times, ' ', first))
  redis.call('ZADD', KEYS[2], string.format('%.3f', now), caller)
  local beyond = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[5])
  if beyond > 0 then
    for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '+inf', 'LIMIT', 0, beyond)) do
      redis.call('HDEL', KEYS[1], one)
      redis.call('ZREM', KEYS[2], one)
    end
  end
  lasts(KEYS[1], within)
  lasts(KEYS[2], within)
  return {0}
end

redis.call('HDEL', KEYS[1], caller)
redis.call('ZREM', KEYS[2], caller)
local epoch = redis.call('HGET', KEYS[5], 'epoch')
if not epoch then
  epoch = ARGV[7]
  redis.call('HSET', KEYS[5], 'epoch', epoch)
end
local number = redis.call('HINCRBY', KEYS[5], 'last', 1)
local lock, lasting = epoch .. '-' .. number, tonumber(ARGV[4])
local ends = string.format('%.3f', now + lasting)
redis.call('HSET', KEYS[3], caller, lock .. ' ' .. ends)
redis.call('ZADD', KEYS[4], number, ends .. ' lock ' .. lock .. ' ' .. caller .. ' ' .. ARGV[8])

local function drop(event) -- no gate needs to hear of it any more
  local action, of, who = string.match(event, '^%S+ (%S+) (%S+) (%S+)')
  local known = redis.call('HGET', KEYS[3], who)
  if action == 'lock' and known and string.match(known, '^%S+') == of then
    redis.call('HDEL', KEYS[3], who)
  elseif action == 'lift' then
    redis.call('HDEL', KEYS[3], 'lifted ' .. of)
  end
  redis.call('ZREM', KEYS[4], event)
end
for _, event in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '+inf', 'LIMIT', 0, 16)) do
  if tonumber(string.match(event, '^%S+')) <= now then
    drop(event)
  end
end
if redis.call('ZCARD', KEYS[4]) > tonumber(ARGV[6]) then
  for _, event in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', '+inf', 'LIMIT', 0, 2)) do
    drop(event)
  end
end
for at = 3, 5 do
  lasts(KEYS[at], lasting)
end
return {1, lock, math.ceil(lasting * 1000)}
