-- Publish what a batcher is doing, and which model it serves under a name; look at what all batchers are doing.
-- Keep what it has learnt, for those that start when no batcher knows it.
-- KEYS  1 batchers, 2 models, 3 learnt: (with `<upstream>` behind it)
-- ARGV  1 life of the reports in ms, 2 life of the announcements in ms, 3 life of what was learnt in ms; 4 batcher, 5 Redis's
--       clock as it knows it, unix ms, 6 its report, 7 its announcement, which begins with `{"at":<unix ms>,`; empty: its model
--       has no name; then upstream, what was learnt of it, ...
-- Returns { batcher, report, ... }
-- First a write that needs no memory: a Redis without any refuses a script's first write, but not the second. Without
-- reports the workers would take a batcher that answers for one that is missing.
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[4], ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if ARGV[7] ~= '' then
  -- A batcher that starts anew has another name, and what it announced before stays for its life.
  local said = redis.call('HGETALL', KEYS[2])
  for i = 1, #said, 2 do
    local at_ms = tonumber(string.match(said[i + 1], '^{"at":(%d+)'))
    if not at_ms or ARGV[5] - at_ms > tonumber(ARGV[2]) then redis.call('HDEL', KEYS[2], said[i]) end
  end
  redis.call('HSET', KEYS[2], ARGV[4], ARGV[7])
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
for i = 8, #ARGV, 2 do
  redis.call('SET', KEYS[3] .. ARGV[i], ARGV[i + 1], 'PX', ARGV[3])
end
return redis.call('HGETALL', KEYS[1])
