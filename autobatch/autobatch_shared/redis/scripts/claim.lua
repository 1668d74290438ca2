-- Move jobs from the queues into a batcher's own record, under its lease, in one step: those of dead batchers first. If
-- jobs are left, another idle batcher is woken; if not, none is.
-- KEYS  1 jobs (with `:v<version>` behind it, the jobs of another version), 2 retry, 3 waiting, 4 gone (with `:<job>` behind
--       it, the mark of one job), 5 claimed:<batcher>, 6 leases, 7 bell, 8 jobs:bulk, 9 waiting:bulk,
--       10 suspects, 11 pace: (with `<upstream>` behind it, what is left of its budget)
-- ARGV  1 batcher, 2 lease in ms, 3 life of claims and leases in ms, 4 bytes that weigh as much as an input, 5 life of the
--       bell in ms, 6 life of jobs of another version in ms, 7 most values that are unpacked at once, 8 version of our
--       frames, 9 first version whose batchers look for their own jobs; 10 inputs wanted of `retry` and `jobs`, 11 suspects
--       wanted, 12 inputs wanted of `jobs:bulk`, 13 inputs in all below which `jobs:bulk` fills up what the others did not
--       give, 14 inputs that could be sent now: beyond them a batcher gets its share. The last job may exceed what is wanted;
--       15 empty, or the budget of an upstream, with spaces between: 1 its calls in a minute, 2 its tokens in a minute, 0 for no
--       limit, 3 the minute in ms, 4 life of the budget in ms, 5 calls and 6 tokens that were used beyond what was granted,
--       7 calls that the jobs of this claim need, 8 calls and 9 tokens that the upstream says are left, -1 if it does not say,
--       10 bytes of a job's body that are a token, 11 part of a limit by which two counts may differ, 12 tokens of an input
--       whatever its bytes, 13 tokens that are left over, 14 whether jobs are held that a call could carry, 1 or 0; last the upstream
-- Returns { Redis's clock in unix ms, jobs still in `retry` and `jobs`, jobs still in `jobs:bulk`, jobs dropped because
--           their client had gone, values dropped that are no job, jobs left to batchers of their version, how many of the
--           frames are suspects (these come first), how many are of `retry` and `jobs`, batchers that have a lease,
--           suspects left, ms after which the budget allows a claim, if it allowed none now, calls left of the budget,
--           tokens left, -1 where there is no limit, frame, ... }
local bytes_per_input, unpack_max = tonumber(ARGV[4]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local some_gone = redis.call('EXISTS', KEYS[4]) == 1
local result = { now, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1 }
local claimed = {}

local paced = ARGV[15] ~= ''
local budget, pace = {}, nil
local calls_left, tokens_left, tokens_missing
if paced then
  local numbers, upstream = string.match(ARGV[15], '^(.*) (%S+)$')
  for number in string.gmatch(numbers, '%S+') do
    budget[#budget + 1] = tonumber(number)
  end
  pace = KEYS[11] .. upstream
end
local calls_limit, tokens_limit, minute, calls_needed = budget[1], budget[2], budget[3], budget[7]

-- What is left of one limit: it grows evenly to a whole minute's worth, and is no more than the upstream says, but for what
-- two counts of the same may differ by.
local function left_of(limit, before, passed, used, said)
  if limit == 0 then return nil end
  local left = limit
  if before then left = math.min(limit, before + math.max(passed, 0) * limit / minute) end
  left = left - used
  if said >= 0 and said + math.max(1, limit * budget[11]) < left then left = said end
  return left
end

if paced then
  local calls, tokens, at = string.match(redis.call('GET', pace) or '', '^(%S+) (%S+) (%d+)$')
  local passed = now - (tonumber(at) or now)
  calls_left = left_of(calls_limit, tonumber(calls), passed, budget[5], budget[8])
  tokens_left = left_of(tokens_limit, tonumber(tokens), passed, budget[6], budget[9])
end
local has_calls = not calls_left or calls_left >= calls_needed

-- Whether the budget allows the next job of a list; its tokens are taken off. One that is larger than a minute's worth needs
-- all of it.
local function may_take(list)
  if not has_calls then return false end
  if not tokens_left then return true end
  local frame = redis.call('LRANGE', list, 0, 0)[1]
  if not frame then return true end
  local body = #frame - (string.find(frame, '\n', 1, true) or 0)
  local inputs = tonumber(string.match(frame, '^{"v":%d+,"crc":"%x+","id":"[%w.]+","n":(%d+),')) or 1
  local tokens = math.ceil(inputs * budget[12] + body / budget[10])
  local needed = math.min(tokens + budget[13], tokens_limit)
  if needed > tokens_left then
    tokens_missing = needed - tokens_left
    return false
  end
  tokens_left = tokens_left - tokens
  return true
end

-- Returns the job's inputs, and whether it is to be worked on.
local function take(frame)
  local version, id, inputs = string.match(frame, '^{"v":(%d%d?%d?),"crc":"%x+","id":"([%w.]+)","n":(%d+),')
  if not id then -- not a job of any version: its bytes may be a user's text, and are not kept
    result[5] = result[5] + 1
    return 0, false
  end
  if some_gone and redis.call('DEL', KEYS[4] .. ':' .. id) == 1 then
    result[4] = result[4] + 1
    return tonumber(inputs), false
  end
  if version ~= ARGV[8] and tonumber(version) >= tonumber(ARGV[9]) then
    local others = KEYS[1] .. ':v' .. version
    redis.call('RPUSH', others, frame)
    redis.call('PEXPIRE', others, ARGV[6])
    result[6] = result[6] + 1
    return tonumber(inputs), false
  end
  claimed[#claimed + 1] = id
  claimed[#claimed + 1] = frame
  result[#result + 1] = frame
  return tonumber(inputs), true
end

-- Takes jobs of a list until `wanted` inputs are there; returns how many inputs, how many jobs, how many jobs are left.
local function drain(list, count, wanted)
  local got, jobs, removed = 0, 0, 0
  while got < wanted and (not paced or may_take(list)) do
    local frame = redis.call('LPOP', list)
    if not frame then break end
    local inputs, is_taken = take(frame)
    removed = removed + math.max(inputs, math.ceil(#frame / bytes_per_input))
    if is_taken then
      got = got + inputs
      jobs = jobs + 1
    end
  end
  local left = redis.call('LLEN', list)
  if count and left == 0 then
    redis.call('DEL', count) -- whatever it says, as of a list that was deleted by hand: else no push would ring the bell
  elseif count and removed > 0 then
    local waiting = tonumber(redis.call('GET', count) or 0) - removed
    if waiting > 0 then
      redis.call('SET', count, waiting, 'KEEPTTL')
    else
      redis.call('DEL', count)
    end
  end
  return got, jobs, left
end

local has_no_suspects = false
for _ = 1, tonumber(ARGV[11]) do
  local frame = redis.call('LPOP', KEYS[10])
  has_no_suspects = not frame
  if not frame then break end
  local _, is_taken = take(frame)
  if is_taken then result[7] = result[7] + 1 end
end

-- Of what waits each batcher takes its share, or what it can send at once.
local batchers = math.max(redis.call('ZCARD', KEYS[6]), 1)
local retried_waiting = redis.call('LLEN', KEYS[2])
local share = math.max(math.ceil((retried_waiting + redis.call('LLEN', KEYS[1])) / batchers), tonumber(ARGV[14]))
local wanted = math.min(tonumber(ARGV[10]), share)
local retried, retried_jobs, retried_left = 0, 0, 0
if retried_waiting > 0 then
  retried, retried_jobs, retried_left = drain(KEYS[2], nil, wanted)
end
local set_aside, set_aside_jobs, set_aside_left = 0, 0, 0
local own = KEYS[1] .. ':v' .. ARGV[8]
if redis.call('EXISTS', own) == 1 then
  set_aside, set_aside_jobs, set_aside_left = drain(own, nil, wanted - retried)
end
local got, fresh, left = drain(KEYS[1], KEYS[3], wanted - retried - set_aside)
local bulk_wanted = math.max(tonumber(ARGV[12]), tonumber(ARGV[13]) - retried - set_aside - got)
local _, _, left_bulk = drain(KEYS[8], KEYS[9], bulk_wanted)
result[2], result[3] = retried_left + set_aside_left + left, left_bulk
result[8] = retried_jobs + set_aside_jobs + fresh
result[9] = batchers

if #claimed > 0 then
  for i = 1, #claimed, unpack_max do
    redis.call('HSET', KEYS[5], unpack(claimed, i, math.min(i + unpack_max - 1, #claimed)))
  end
  redis.call('PEXPIRE', KEYS[5], ARGV[3])
  redis.call('ZADD', KEYS[6], now + tonumber(ARGV[2]), ARGV[1])
  redis.call('PEXPIRE', KEYS[6], ARGV[3])
end
if paced then
  if has_calls and (#claimed > 0 or budget[14] > 0) then
    if calls_left then calls_left = calls_left - calls_needed end
  elseif not has_calls then
    result[11] = math.ceil((calls_needed - calls_left) * minute / calls_limit)
  elseif tokens_missing then
    result[11] = math.ceil(tokens_missing * minute / tokens_limit)
  end
  result[12], result[13] = math.floor(calls_left or -1), math.floor(tokens_left or -1)
  local kept = string.format('%.3f %.3f %d', calls_left or 0, tokens_left or 0, now)
  redis.call('SET', pace, kept, 'PX', budget[4])
end
if not has_no_suspects then result[10] = redis.call('LLEN', KEYS[10]) end
if result[2] + left_bulk + result[10] == 0 then
  redis.call('DEL', KEYS[7])
elseif redis.call('EXISTS', KEYS[7]) == 0 then
  redis.call('RPUSH', KEYS[7], '')
  redis.call('PEXPIRE', KEYS[7], ARGV[5])
end
return result
