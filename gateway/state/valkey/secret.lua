-- Stands before the scripts for money. What was kept under another secret cannot be found: as if it were lost.
local function lost_until(house, run, secret, now)
  local epoch = redis.call('HMGET', house, 'run', 'lost', 'secret', 'changed')
  if epoch[1] ~= run then
    return nil
  end
  local changed = tonumber(epoch[4] or '0')
  if epoch[3] ~= secret then
    if epoch[3] then
      changed = math.ceil(now)
    end
    redis.call('HSET', house, 'secret', secret, 'changed', string.format('%d', changed))
  end
  return math.max(tonumber(epoch[2]), changed)
end
