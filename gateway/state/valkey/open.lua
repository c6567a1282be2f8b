-- Opens a house of claims for this run of the server, and notices where its memory may have been lost.
--
-- KEYS   the house's epoch
-- ARGV   the server's run; how the caller finds it: `fresh` (it knows that nothing was ever claimed), `kept` (it knows that
--        this server keeps all it confirmed), `moved` (it has just come from another server) or `as it is`; seconds for
--        which it holds dated claims at least; seconds that dates may lie ahead; its own time
-- reply  1 where memory was lost just now, 0 where not; and up to when requests may be dated that are refused
local now = math.max(clock(), tonumber(ARGV[5]))
local run, found, longest, ahead = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local epoch = redis.call('HMGET', KEYS[1], 'run', 'longest', 'lost', 'floor', 'forgotten', 'prolonged', 'ahead')
local lost, news = 0, 0
if not epoch[1] then
  if found ~= 'fresh' then
    lost, news = math.ceil(now + ahead), 1
  end
  redis.call('HSET', KEYS[1], 'run', run, 'longest', ARGV[3], 'lost', string.format('%d', lost), 'floor', '0',
    'forgotten', '0', 'prolonged', '0', 'ahead', ARGV[4])
  return {news, lost}
end
lost, ahead = tonumber(epoch[3]), math.max(ahead, tonumber(epoch[7]))
if (epoch[1] ~= run or found == 'moved') and found ~= 'kept' then
  lost, news = math.max(lost, math.ceil(now + ahead)), 1
end
redis.call('HSET', KEYS[1], 'run', run, 'lost', string.format('%d', lost), 'ahead', tostring(ahead))
local before = tonumber(epoch[2])
if longest > before then -- what was forgotten by the shorter time is no longer knowable; what is held is held longer
  local floor, prolonged = tonumber(epoch[4]), tonumber(epoch[6])
  floor = math.max(floor, tonumber(epoch[5]) - math.floor(before))
  prolonged = prolonged + math.ceil(longest - before)
  redis.call('HSET', KEYS[1], 'longest', ARGV[3], 'floor', string.format('%d', floor),
    'prolonged', string.format('%d', prolonged))
end
return {news, lost}
