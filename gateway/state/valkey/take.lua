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

local forced = ARGV[4 * #KEYS + 1]
local held = redis.call('MGET', unpack(KEYS))
local buckets, fits = {}, 1
for i = 1, #KEYS do
  local at = 4 * i
  local amount, window, slides, cost = tonumber(ARGV[at - 3]), tonumber(ARGV[at - 2]), ARGV[at - 1], tonumber(ARGV[at])
  local mark, count, before, rest, used, burst
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
  elseif string.byte(slides) == 98 then
    burst = tonumber(string.sub(slides, 2))
    local micros = math.floor(now * 1000000 + 0.5)
    before, mark = mark and micros < mark, mark or micros -- whether the clock has stepped back
    count = math.max((count or 0) - math.max(micros - mark, 0) * amount, 0)
    mark, rest, used = micros, amount, math.ceil(count / window / 1000000)
    amount = burst
  else
    if not mark or mark <= now * 1000 then
      mark, count, before = math.ceil(end_of(window, slides) * 1000), 0, 0
    end
    rest = mark / 1000 - now
    used = count
  end
  if used + cost > amount and not forced then
    fits = 0
  end
  buckets[i] = {mark, count, before, rest, used, cost, window, slides, burst}
end
local reply = {fits}
for i, bucket in ipairs(buckets) do
  local mark, count, before, rest, used, cost, window, slides, burst = unpack(bucket, 1, 9)
  if burst then
    local amount, stepped = rest, before
    if fits == 1 then
      count, used, cost = count + cost * window * 1000000, used + cost, 0 -- it is taken, and costs no more
    end
    if fits == 1 or stepped then -- where the clock has stepped back, it leaks from now on
      local lives = math.ceil(count / amount / 1000 + 1000)
      redis.call('SET', KEYS[i], string.format('%.0f %.0f 0', mark, count), 'PX', lives)
    end
    local least = used + cost > burst and burst - cost or used - 1 -- what may be in it for the request, or for one more
    before, count, rest = 0, 0, used == 0 and 0 or (count - least * window * 1000000) / amount / 1000000
  elseif fits == 1 then
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
