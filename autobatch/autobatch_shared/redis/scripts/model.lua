-- Read, prolong, and where asked set the record of the namespace's model.
-- KEYS  1 model, 2 model:counted
-- ARGV  1 life of both in ms, 2 the record to set where there is none; empty: none is set,
--       3 the record that 2 may replace; empty: none is replaced, 4 ms since an upstream last counted for it, before which
--       it is not replaced, 5 the record for which an upstream of the caller counts now; empty: none
-- Returns the record now, or false when there is none.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now = redis.call('GET', KEYS[1])
local counted_ms = tonumber(redis.call('GET', KEYS[2]) or '')
if counted_ms and counted_ms > now_ms then counted_ms = nil end -- of before the clock stepped back
local is_due = now_ms - (counted_ms or now_ms) >= tonumber(ARGV[4])
local is_set = ARGV[2] ~= '' and (not now or (now == ARGV[3] and is_due))
if is_set then
  now = ARGV[2]
  redis.call('SET', KEYS[1], now, 'PX', ARGV[1])
elseif now then
  -- Before the other write: this one needs no memory, and a Redis without any refuses a script's first write only.
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
if now then
  -- One that is missing was lost: then the time begins anew, as after a step back of the clock.
  if is_set or now == ARGV[5] or not counted_ms then counted_ms = now_ms end
  redis.call('SET', KEYS[2], string.format('%.0f', counted_ms), 'PX', ARGV[1])
end
return now
