-- Begins the count of a caller anew: it has authenticated.
--
-- KEYS   when each caller failed; callers by when they failed last
-- ARGV   caller
-- reply  1
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
