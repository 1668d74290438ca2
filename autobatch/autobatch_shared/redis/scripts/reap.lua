-- Give the jobs of batchers whose lease has ended to the others, oldest first. They go to `retry`, where each is sent
-- alone, so that one that kills batchers takes no neighbour with it. A job that did it too often comes to the caller.
-- KEYS  1 leases, 2 retry, 3 claimed:<caller>, 4 dead, 5 batchers
-- ARGV  1 key prefix, 2 caller, 3 its lease in ms, 4 batchers that may die with one job
-- Returns { jobs given back, frame of a job to be given up, ... }; the latter are claimed by the caller and in `dead`.
local TTL_MS = 3600000
local DEAD_TTL_MS = 604800000
local DEAD_MAX = 100

local prefix, attempts_max = ARGV[1], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local jobs, result = {}, { 0 }

local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'WITHSCORES')
for e = 1, #ended, 2 do
  local batcher, deaths = ended[e], tonumber(ended[e + 1]) > 0 and 1 or 0 -- 0: it signed off, nothing killed it
  if batcher ~= ARGV[2] then
    local claimed = prefix .. 'claimed:' .. batcher
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
  local attempts = prefix .. 'attempts:' .. job.id
  local died = redis.call('INCRBY', attempts, job.deaths)
  redis.call('PEXPIRE', attempts, TTL_MS)
  if died < attempts_max then
    redis.call('LPUSH', KEYS[2], job.frame)
    result[1] = result[1] + 1
  else
    redis.call('HSET', KEYS[3], job.id, job.frame)
    redis.call('PEXPIRE', KEYS[3], TTL_MS)
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
    redis.call('PEXPIRE', KEYS[1], TTL_MS)
    redis.call('LPUSH', KEYS[4], job.frame)
    redis.call('LTRIM', KEYS[4], 0, DEAD_MAX - 1)
    redis.call('PEXPIRE', KEYS[4], DEAD_TTL_MS)
    result[#result + 1] = job.frame
  end
end
return result
