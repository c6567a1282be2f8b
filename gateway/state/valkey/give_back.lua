-- Gives back what was counted and not spent, once: asked again, as nobody knows whether it was done, it does nothing.
--
-- KEYS   the house's epoch; a mark of this reservation; one counter for each limit
-- ARGV   when it was counted, in milliseconds; for each counter the part that was counted in, and the amount
-- reply  1 where it was given back, 0 where it was before, or where memory was lost since: what is counted now is others'
local lost = tonumber(redis.call('HGET', KEYS[1], 'lost') or 'inf')
if lost * 1000 >= tonumber(ARGV[1]) then
  return 0
end
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', 600000) then -- far longer than it is asked again
  return 0
end
for i = 3, #KEYS do
  local part, amount = ARGV[2 * i - 4], ARGV[2 * i - 3]
  if redis.call('HEXISTS', KEYS[i], part) == 1 then
    if redis.call('HINCRBY', KEYS[i], part, '-' .. amount) <= 0 then
      redis.call('HDEL', KEYS[i], part)
    end
  end
end
return 1
