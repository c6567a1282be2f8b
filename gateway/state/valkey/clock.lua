-- Stands before every script. The store's clock decides, whichever gate asks: a gate whose clock is wrong harms itself.
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
