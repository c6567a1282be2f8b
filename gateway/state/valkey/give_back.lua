-- Gives back what was counted and not spent.
--
-- KEYS   one counter for each limit
-- ARGV   for each: the part that was counted in, and the amount
-- reply  1
for i = 1, #KEYS do
  local part, amount = ARGV[2 * i - 1], ARGV[2 * i]
  if redis.call('HEXISTS', KEYS[i], part) == 1 then
    if redis.call('HINCRBY', KEYS[i], part, '-' .. amount) <= 0 then
      redis.call('HDEL', KEYS[i], part)
    end
  end
end
return 1
