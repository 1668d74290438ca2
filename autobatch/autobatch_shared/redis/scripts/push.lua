-- Append the jobs of several requests to the queues, each request wholly or not at all, and wake a batcher.
-- KEYS  1 jobs, 2 waiting, 3 jobs:bulk, 4 waiting:bulk, 5 leases, 6 claimed: (with `<batcher>` behind it), 7 bell, 8 epoch
-- ARGV  1 bytes that weigh as much as an input, 2 life of the counts and of the bell in ms, 3 most values that are unpacked
--       at once, 4 life of the epoch in ms, 5 the worker, which is unique; 6 most inputs that may wait in one queue; then
--       per request: 1 if bulk else 0, how many frames, the frames
-- A job weighs as many inputs as it has or as its bytes weigh, whichever is more: so Redis's memory is bounded too.
-- Returns { Redis's clock in unix ms, epoch, inputs waiting in `jobs` now, in `jobs:bulk`, jobs claimed and not answered,
--           places (1-based) of the requests that were refused, ... }
local bytes_per_input, unpack_max, limit = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[6])

local function weight(frame)
  return math.max(tonumber(string.match(frame, ',"n":(%d+)')), math.ceil(#frame / bytes_per_input))
end

local time = redis.call('TIME')
local epoch = redis.call('GET', KEYS[8])
if not epoch then
  epoch = ARGV[5] .. '.' .. time[1] .. '.' .. time[2]
  redis.call('SET', KEYS[8], epoch, 'PX', ARGV[4])
end

local result = { time[1] * 1000 + math.floor(time[2] / 1000), epoch, 0, 0, 0 }
local queues = {}
for bulk = 0, 1 do
  local before = tonumber(redis.call('GET', KEYS[2 + 2 * bulk]) or 0)
  queues[bulk] = { list = KEYS[1 + 2 * bulk], count = KEYS[2 + 2 * bulk], before = before, waiting = before, frames = {} }
end

local at, request = 7, 1
while at <= #ARGV do
  local queue, count, inputs = queues[tonumber(ARGV[at])], tonumber(ARGV[at + 1]), 0
  local first, last = at + 2, at + 1 + count
  for i = first, last do
    inputs = inputs + weight(ARGV[i])
  end
  if queue.waiting + inputs > limit then
    result[#result + 1] = request
  else
    queue.waiting = queue.waiting + inputs
    for i = first, last do
      queue.frames[#queue.frames + 1] = ARGV[i]
    end
  end
  at = last + 1
  request = request + 1
end

for bulk = 0, 1 do
  local queue = queues[bulk]
  for i = 1, #queue.frames, unpack_max do
    redis.call('RPUSH', queue.list, unpack(queue.frames, i, math.min(i + unpack_max - 1, #queue.frames)))
  end
  if queue.waiting > 0 then
    if queue.waiting ~= queue.before then redis.call('SET', queue.count, queue.waiting, 'PX', ARGV[2]) end
  elseif queue.before > 0 then
    redis.call('DEL', queue.count)
  end
end
-- Where jobs waited before, the bell was rung already, or the batcher that took the ring will claim, and ring if any are left.
local is_first = queues[0].before + queues[1].before == 0 and #queues[0].frames + #queues[1].frames > 0
if is_first and redis.call('EXISTS', KEYS[7]) == 0 then
  redis.call('RPUSH', KEYS[7], '')
  redis.call('PEXPIRE', KEYS[7], ARGV[2])
end
result[3], result[4] = queues[0].waiting, queues[1].waiting
for _, batcher in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
  result[5] = result[5] + redis.call('HLEN', KEYS[6] .. batcher)
end
return result
