-- Looks at the places of a partner on a route, and changes nothing.
--
-- KEYS   the places: tokens by the end of their lease
-- reply  how many are taken
return #redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.6f', clock()), '+inf')
