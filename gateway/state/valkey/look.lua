-- Looks at buckets and changes nothing.
--
-- KEYS   one for each bucket, all in one slot
-- ARGV   for each bucket: window (seconds), 1 where it slides, as take.lua has it, but b and the amount for a burst
-- reply  for each bucket what is used of it (see take.lua)
local now = clock()
local used = {}
for i, held in ipairs(redis.call('MGET', unpack(KEYS))) do
  local window, slides = tonumber(ARGV[2 * i - 1]), ARGV[2 * i]
  used[i] = 0
  if held then
    local mark, count, before = string.match(held, '^(%d+) (%d+) (%d+)$')
    mark, count, before = tonumber(mark), tonumber(count), tonumber(before)
    if string.byte(slides) == 98 then
      local leaked = math.max(now * 1000000 - mark, 0) * tonumber(string.sub(slides, 2))
      used[i] = math.ceil(math.max(count - leaked, 0) / (window * 1000000))
    elseif slides ~= '1' then
      used[i] = mark > now * 1000 and count or 0
    else
      local index = math.floor(now / window)
      if index == mark + 1 then
        mark, count, before = index, 0, count
      elseif index > mark then
        mark, count, before = index, 0, 0
      end
      used[i] = math.floor(before * math.min((mark + 1) * window - now, window) / window + count)
    end
  end
end
return used
