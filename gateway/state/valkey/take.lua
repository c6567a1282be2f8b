-- Takes from every bucket that is named, or from none.
--
-- KEYS   one for each bucket, all in one slot
-- ARGV   for each bucket: amount, window (seconds), 1 where it slides, cost
-- reply  1 where all was taken, 0 where nothing was; then for each bucket what is used of it, the count of the window of
--        the clock before, that of the present one, and the milliseconds until the window ends
--
-- A bucket is "MARK COUNT BEFORE". It slides: MARK is the number of the window of the clock. It is fixed: MARK is when it
-- ends, in milliseconds. Where the store's clock steps back, windows last longer by as much.
local now = clock()
local held = redis.call('MGET', unpack(KEYS))
local buckets, fits = {}, 1
for i = 1, #KEYS do
  local at = 4 * i
  local amount, window, slides, cost = tonumber(ARGV[at - 3]), tonumber(ARGV[at - 2]), ARGV[at - 1], tonumber(ARGV[at])
  local mark, count, before, rest, used
  if held[i] then
    mark, count, before = string.match(held[i], '^(%d+) (%d+) (%d+)$')
    mark, count, before = tonumber(mark), tonumber(count), tonumber(before)
  end
  if slides == '1' then
    local index = math.floor(now / window)
    if not mark then
      mark, count, before = index, 0, 0
    elseif index == mark + 1 then
      mark, count, before = index, 0, count
    elseif index > mark then
      mark, count, before = index, 0, 0
    end
    rest = math.min((mark + 1) * window - now, window)
    used = math.floor(before * rest / window + count)
  else
    if not mark or mark <= now * 1000 then
      mark, count, before = math.ceil((now + window) * 1000), 0, 0
    end
    rest = mark / 1000 - now
    used = count
  end
  if used + cost > amount then
    fits = 0
  end
  buckets[i] = {mark, count, before, rest, used, cost, window, slides}
end
local reply = {fits}
for i, bucket in ipairs(buckets) do
  local mark, count, before, rest, used, cost, window, slides = unpack(bucket)
  if fits == 1 then
    count, used = count + cost, used + cost
    local lives = rest + 1
    if slides == '1' then
      lives = lives + window -- the next window still looks at it
    end
    redis.call('SET', KEYS[i], string.format('%d %d %d', mark, count, before), 'PX', math.ceil(lives * 1000))
  end
  local at = 4 * i
  reply[at - 2], reply[at - 1], reply[at], reply[at + 1] = used, before, count, math.ceil(rest * 1000)
end
return reply
