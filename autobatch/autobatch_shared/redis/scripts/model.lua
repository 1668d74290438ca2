-- Read, prolong, and where asked set the record of the namespace's model.
-- KEYS  1 model
-- ARGV  1 life of the record in ms, 2 the record to set where there is none; empty: none is set,
--       3 the record that 2 may replace; empty: none is replaced
-- Returns the record now, or false when there is none.
local now = redis.call('GET', KEYS[1])
if ARGV[2] ~= '' and (not now or now == ARGV[3]) then
  now = ARGV[2]
  redis.call('SET', KEYS[1], now, 'PX', ARGV[1])
elseif now then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return now
