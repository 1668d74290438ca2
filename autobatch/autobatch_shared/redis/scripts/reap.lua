-- Give the jobs of batchers whose lease has ended to the others, oldest first. They go to `retry`, before all others: one
-- death says nothing against any of them. A job that one more death would end goes to `suspects`, where each is sent alone,
-- so that one that kills batchers takes no neighbour with it. A job that did it too often comes to the caller.
-- KEYS  1 leases, 2 retry, 3 claimed:<caller>, 4 dead, 5 batchers, 6 claimed: (with `<batcher>` behind it), 7 attempts:
--       (with `<job>` behind it), 8 bell, 9 suspects
-- ARGV  1 caller, 2 its lease in ms, 3 batchers that may die with one job, 4 life of claims, leases and attempts in ms,
--       5 most jobs in `dead`, 6 its life in ms, 7 the most ms that any lease may still last, 8 life of the bell in ms; 9 ms
--       by which Redis's clock stepped ahead since the caller's last beat, else 0
-- Returns { jobs given back, frame of a job to be given up, ... }; the latter are claimed by the caller and in `dead`.
local caller, lease, attempts_max, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step = tonumber(ARGV[9])
local jobs, result = {}, { 0 }

-- The leases of the living go on after a step ahead, and those of the dead do not last as long as a step back.
if step > 0 then
  local living = redis.call('ZRANGEBYSCORE', KEYS[1], now - step, '(' .. now, 'WITHSCORES')
  for i = 1, #living, 2 do
    redis.call('ZADD', KEYS[1], living[i + 1] + step, living[i])
  end
end
for _, batcher in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + tonumber(ARGV[7]), '+inf')) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[7]), batcher)
end

local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'WITHSCORES')
for e = 1, #ended, 2 do
  local batcher, deaths = ended[e], tonumber(ended[e + 1]) > 0 and 1 or 0 -- 0: it signed off, nothing killed it
  if batcher ~= caller then
    local claimed = KEYS[6] .. batcher
    local held = redis.call('HGETALL', claimed)
    for i = 1, #held, 2 do
      local at = string.match(held[i + 1], ',"at":(%d+)')
      jobs[#jobs + 1] = {
        id = held[i],
        frame = held[i + 1],
        deaths = deaths,
        at = tonumber(at) or 0,
        number = tonumber(string.match(held[i], '%d+$')) or 0,
      }
    end
    redis.call('DEL', claimed)
    redis.call('ZREM', KEYS[1], batcher)
    redis.call('HDEL', KEYS[5], batcher)
  end
end

table.sort(jobs, function(a, b)
  if a.at ~= b.at then return a.at > b.at end
  return a.number > b.number
end)

for _, job in ipairs(jobs) do -- youngest first: each LPUSH puts an older one before it
  local attempts = KEYS[7] .. job.id
  local died = redis.call('INCRBY', attempts, job.deaths)
  redis.call('PEXPIRE', attempts, ttl)
  if died < attempts_max then
    redis.call('LPUSH', died < attempts_max - 1 and KEYS[2] or KEYS[9], job.frame)
    result[1] = result[1] + 1
  else
    redis.call('HSET', KEYS[3], job.id, job.frame)
    redis.call('PEXPIRE', KEYS[3], ttl)
    redis.call('ZADD', KEYS[1], now + tonumber(lease), caller)
    redis.call('PEXPIRE', KEYS[1], ttl)
    redis.call('LPUSH', KEYS[4], job.frame)
    redis.call('LTRIM', KEYS[4], 0, ARGV[5] - 1)
    redis.call('PEXPIRE', KEYS[4], ARGV[6])
    result[#result + 1] = job.frame
  end
end
if result[1] > 0 and redis.call('EXISTS', KEYS[8]) == 0 then
  redis.call('RPUSH', KEYS[8], '')
  redis.call('PEXPIRE', KEYS[8], ARGV[8])
end
return result
