-- Takes from every bucket that is named, or from none.
--
-- KEYS   one for each bucket, all in one slot
-- ARGV   for each bucket: amount, window (seconds), 1 where it slides, 0 where it is fixed, day or
--        month where it is one of the calendar (UTC), b and the burst where it has one, cost;
--        at last, where it is taken even if it does not fit: 1
-- reply  1 where all was taken, 0 where nothing was; then for each bucket what is used of it, the count of the window of
--        the clock before, that of the present one, and the milliseconds until the window ends
--
-- A bucket is "MARK COUNT BEFORE". It slides: MARK is the number of the window of the clock. It is fixed, or of the
-- calendar: MARK is when it ends, in milliseconds. Where the store's clock steps back, windows last longer by as much.
-- It has a burst (gateway/state/bursts.py): MARK is when it was taken from last, in microseconds, COUNT what it held then,
-- of which window * 1000000 make one request. The reply's milliseconds are those until it takes the request, or one more.
local now = clock()

local function day_after_month_of(day) -- days count from 1970-01-01; years begin in March here, so that leap days end them
  local z = day + 719468
  local era = math.floor(z / 146097)
  local of_era = z - era * 146097
  local year = math.floor(
    (of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524) - math.floor(of_era / 146096)) / 365)
  local leaps = math.floor(year / 4) - math.floor(year / 100)
  local of_year = of_era - 365 * year - leaps
  local month = math.floor((5 * of_year + 2) / 153)
  if month < 11 then
    return day - of_year + math.floor((153 * (month + 1) + 2) / 5)
  end
  year = year + 1 -- February ends where the next such year begins
  return era * 146097 + 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) - 719468
end

local function end_of(window, slides)
  if slides == '0' then
    return now + window
  end
  local day = math.floor(now / 86400)
  return (slides == 'day' and day + 1 or day_after_month_of(day)) * 86400
end

local function wait_of(bucket) -- a bucket with a burst
  if bucket.used == 0 then
    return 0
  end
  local least = bucket.used - 1
  if bucket.used + bucket.cost > bucket.burst then
    least = bucket.burst - bucket.cost
  end
  return (bucket.count - least * bucket.one) / bucket.amount / 1000000
end

local forced = ARGV[4 * #KEYS + 1]
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
  if string.byte(slides) == 98 then
    local burst, one, at = tonumber(string.sub(slides, 2)), window * 1000000, math.floor(now * 1000000 + 0.5)
    count = math.max((count or 0) - math.max(at - (mark or at), 0) * amount, 0)
    used = math.ceil(count / one)
    if used + cost > burst and not forced then
      fits = 0
    end
    buckets[i] = {stepped = at < (mark or at), mark = at, count = count, used = used, cost = cost, burst = burst, one = one, amount = amount}
  elseif slides == '1' then
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
      mark, count, before = math.ceil(end_of(window, slides) * 1000), 0, 0
    end
    rest = mark / 1000 - now
    used = count
  end
  if not buckets[i] then
    if used + cost > amount and not forced then
      fits = 0
    end
    buckets[i] = {mark, count, before, rest, used, cost, window, slides}
  end
end
local reply = {fits}
for i, bucket in ipairs(buckets) do
  local at = 4 * i
  if bucket.burst then
    if fits == 1 then
      bucket.count, bucket.used = bucket.count + bucket.cost * bucket.one, bucket.used + bucket.cost
      bucket.cost = 0 -- it is taken
    end
    if fits == 1 or bucket.stepped then -- where the clock has stepped back, it leaks from now on
      local lives = bucket.count / bucket.amount / 1000 + 1000
      redis.call('SET', KEYS[i], string.format('%.0f %.0f 0', bucket.mark, bucket.count), 'PX', math.ceil(lives))
    end
    reply[at - 2], reply[at - 1], reply[at], reply[at + 1] = bucket.used, 0, 0, math.ceil(wait_of(bucket) * 1000)
  else
    local mark, count, before, rest, used, cost, window, slides = unpack(bucket)
    if fits == 1 then
      count, used = count + cost, used + cost
      local lives = rest + 1
      if slides == '1' then
        lives = lives + window -- the next window still looks at it
      end
      redis.call('SET', KEYS[i], string.format('%d %d %d', mark, count, before), 'PX', math.ceil(lives * 1000))
    end
    reply[at - 2], reply[at - 1], reply[at], reply[at + 1] = used, before, count, math.ceil(rest * 1000)
  end
end
return reply
