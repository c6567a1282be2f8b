-- Tells which callers failed, and what befell lock-outs, since the last look.
--
-- KEYS   callers by when they failed last; events by number; what they count from (see fail.lua)
-- ARGV   epoch and number of the last event that is known; since when callers are asked for; most of each
-- reply  the epoch (empty: no event yet); the time; the callers; the events, each after its number
local epoch = redis.call('HGET', KEYS[3], 'epoch') or ''
local last = epoch == ARGV[1] and ARGV[2] or '0'
local failed = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[3], '+inf', 'LIMIT', 0, ARGV[4])
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. last, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local events = {}
for at = 1, #found, 2 do
  events[at], events[at + 1] = found[at + 1], found[at]
end
return {epoch, string.format('%.3f', clock()), failed, events}
