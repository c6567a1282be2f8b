-- Has buckets begin anew.
--
-- KEYS   the buckets, all in one slot
-- reply  how many there were
return redis.call('DEL', unpack(KEYS))
