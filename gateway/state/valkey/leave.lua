-- Frees a place.
--
-- KEYS   the places
-- ARGV   token
-- reply  1 where it was held, 0 where not
return redis.call('ZREM', KEYS[1], ARGV[1])
