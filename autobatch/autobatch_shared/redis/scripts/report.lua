-- Publish what a batcher is doing, and look at what all of them are.
-- KEYS  1 batchers
-- ARGV  1 life of the reports in ms; 2 batcher, 3 its report
-- Returns { batcher, report, ... }
-- First a write that needs no memory: a Redis without any refuses a script's first write, but not the second. Without
-- reports the workers would take a batcher that answers for one that is missing.
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('HGETALL', KEYS[1])
