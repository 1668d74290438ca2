-- Prolong a batcher's lease.
-- KEYS  1 leases, 2 claimed:<batcher>, 3 epoch
-- ARGV  1 batcher, 2 lease in ms, 3 life of claims and leases in ms, 4 life of the epoch in ms
-- Returns { 1, or 0 when the lease had ended and others may have taken the jobs; Redis's clock in unix ms; epoch, '' if it
--           is gone with all data }
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
-- First a write that needs no memory: a Redis without any refuses a script's first write, but not the second.
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return { held, now, redis.call('GET', KEYS[3]) or '' }
