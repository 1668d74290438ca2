-- Move jobs from the queues into a batcher's own record, under its lease, in one step: those of dead batchers first. If
-- jobs are left, another idle batcher is woken; if not, none is.
-- More than 250 lines, because a budget is spent in the step that takes the jobs, and a script cannot call another.
-- KEYS  1 jobs (with `:v<version>` behind it, the jobs of another version), 2 retry, 3 waiting, 4 gone (with `:<job>` behind
--       it, the mark of one job), 5 claimed:<batcher>, 6 leases, 7 bell, 8 jobs:bulk, 9 waiting:bulk,
--       10 suspects, 11 pace: (with `<upstream>` behind it, what was used of its budget)
-- ARGV  1 batcher, 2 lease in ms, 3 life of claims and leases in ms, 4 bytes that weigh as much as an input, 5 life of the
--       bell in ms, 6 life of jobs of another version in ms, 7 most values that are unpacked at once, 8 version of our
--       frames, 9 first version whose batchers look for their own jobs; 10 inputs wanted of `retry` and `jobs`, 11 suspects
--       wanted, 12 inputs wanted of `jobs:bulk`, 13 inputs in all below which `jobs:bulk` fills up what the others did not
--       give, 14 inputs that could be sent now: beyond them a batcher gets its share. The last job may exceed what is wanted;
--       15 empty, or the budget of an upstream, `name=number` with spaces between, last the upstream: `MinuteBudget` and
--       `PacingRules` say what the numbers are; what the upstream said of calls and of tokens is -1 where it did not
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

-- The budget. What was used is remembered for the `window`, a minute, in steps of a part of it: so no span of a minute has more
-- than a minute's worth, in whichever way the upstream counts. Where it refuses what that allows, it counts in shorter spans:
-- then the window becomes shorter, and its worth less with it, and at last the `portion` that is used of the limits. Where it says
-- that it counts by a bucket, what was used is forgotten evenly.
local paced = ARGV[15] ~= ''
local budget, used, calls, tokens = {}, {}, nil, nil
local pace, minute, window, portion, changed, said, probes_tokens
local tokens_missing

local function span() return window / portion * (1 + budget.slack) end

local function count(entry, sign)
  calls.used, tokens.used = calls.used + sign * entry[2], tokens.used + sign * entry[3]
end

local function forget(until_ms)
  while used[1] and used[1][1] + span() <= until_ms do count(table.remove(used, 1), -1) end
end

-- Remembers what is used now; what is more than a window has counts as long as it takes.
local function use(some_calls, some_tokens)
  local at, worth, last = now, tokens.limit * window / minute, used[#used]
  local over = tokens.used + some_tokens - worth
  if tokens.limit > 0 and over > 0 then at = math.floor(now + math.min(over / worth * window, minute)) end
  local step = window / budget.steps
  if last and at < last[1] then at = last[1] end
  if last and math.floor(at / step) == math.floor(last[1] / step) then
    last[1], last[2], last[3], last[4] = at, last[2] + some_calls, last[3] + some_tokens, nil
  else
    used[#used + 1] = { at, some_calls, some_tokens }
  end
  count({ at, some_calls, some_tokens }, 1)
end

-- Takes so much of a kind out of what was used, from the first entry on or from the last.
local function unuse(kind, amount, first, last, step)
  for i = first, last, step do
    if amount <= 0 then break end
    local part = math.min(amount, used[i][kind.place])
    used[i][kind.place], kind.used, amount = used[i][kind.place] - part, kind.used - part, amount - part
    used[i][4] = nil
  end
end

local function left_of(kind)
  if kind.limit == 0 then return nil end
  return kind.limit * window / minute - kind.used - kind.others
end

local function used_after(kind, at)
  local sum = 0
  for i = #used, 1, -1 do
    if used[i][1] <= at then break end
    sum = sum + used[i][kind.place]
  end
  return sum
end

-- Believes what the upstream said is left, as far as what was on its way meanwhile leaves no doubt: others use it, too, or it
-- has forgotten what we have not. Whether it forgets evenly shows while much is left: `even` counts such answers in a row.
local function believe(kind, most, least, whole, own, is_even)
  if kind.limit == 0 or most < 0 then return end
  local answered = now - budget.said_ms
  local left = left_of(kind)
  if kind.even == budget.even then most = most + kind.limit * (now - answered) / minute end
  most = most - used_after(kind, answered + window / budget.steps)
  if least >= 0 then
    local meanwhile = used_after(kind, now - budget.asked_ms - minute * budget.slack)
    least = math.max(least - math.max(meanwhile - own, 0), 0)
  end
  if most < left then
    kind.others = kind.others + left - most
  elseif least > left then
    local given_back = math.min(least - left, kind.others)
    kind.others = kind.others - given_back
    local forgotten = least - left - given_back
    if window >= minute and forgotten > kind.limit * budget.much then unuse(kind, forgotten, 1, #used, 1) end
  end
  kind.ends = answered + span()
  kind.reset = whole >= 0 and answered + whole or 0
  if is_even == 0 then kind.even = 0 elseif is_even > 0 then kind.even = math.min(kind.even + 1, budget.even) end
end

-- A call was refused though enough is left by all that is known.
local function slow_down()
  local part = calls.limit > 0 and (calls.used - budget.refused) / calls.limit or tokens.used / tokens.limit
  part = math.max(part, 0) * minute / window
  local shortest = calls.limit > 0 and minute / calls.limit or minute * budget.window_min
  if part >= budget.full or window <= shortest then
    portion = math.max(portion * budget.less, budget.portion_min)
  else
    window = math.max(window * part / 2, shortest)
    if calls.limit > 0 then window = math.floor(window * calls.limit / minute + budget.tiny) * minute / calls.limit end
  end
  changed = now
end

-- Whether the upstream should have forgotten everything by what it said, which one call may find out.
local function may_probe(kind)
  if kind.limit == 0 or kind.reset == 0 then return false end
  return kind.others > kind.limit * budget.much or (window >= minute and used[1] ~= nil and used[1][1] + span() - kind.reset > minute * budget.close)
end

local function probes(kind)
  return may_probe(kind) and now >= kind.reset + minute * budget.soon
end

-- Returns the ms after which so much more of a kind may be left.
local function wait_for(kind, missing)
  local wait, sum = minute * budget.check, 0
  if kind.others > 0 then
    wait, sum = math.min(wait, math.max(kind.ends - now, 0)), kind.others
  end
  if kind.even == budget.even then wait = math.min(wait, missing * minute / kind.limit / portion) end
  for i = 1, #used do
    sum = sum + used[i][kind.place]
    if sum >= missing - budget.tiny then
      wait = math.min(wait, used[i][1] + span() - now)
      break
    end
  end
  if may_probe(kind) then wait = math.min(wait, kind.reset + minute * budget.soon - now) end
  return math.max(math.ceil(wait), 1)
end

if paced then
  for name, number in string.gmatch(ARGV[15], '(%S+)=(%S+)') do
    budget[name] = tonumber(number)
  end
  local upstream = string.match(ARGV[15], '%S+$')
  pace, minute = KEYS[11] .. upstream, budget.minute_ms
  local kept = {}
  local head, entries = string.match(redis.call('GET', pace) or '', '^([^;]*)(.*)$')
  for number in string.gmatch(head, '%S+') do
    kept[#kept + 1] = tonumber(number)
  end
  if #kept < 13 or kept[1] > minute then kept = { minute, 1, 0, 0, now, 0, 0, 0, 0, 0, 0, 0, 0 } end
  window, portion = math.max(kept[1], budget.calls > 0 and minute / budget.calls or 0), kept[2]
  changed, said = math.min(kept[3], now), math.min(kept[4], now) -- the clock may have stepped back
  portion = math.min(1, portion + budget.more * math.max(now - kept[5], 0) / minute)
  calls = { limit = budget.calls, place = 2, used = 0, others = kept[6], ends = kept[7], reset = kept[8], even = kept[9] }
  tokens = { limit = budget.tokens, place = 3, used = 0, others = kept[10], ends = kept[11], reset = kept[12], even = kept[13] }
  for text, at, some_calls, some_tokens in string.gmatch(entries, '(;(%d+) (%S+) ([^;]+))') do
    local entry = { tonumber(at), tonumber(some_calls), tonumber(some_tokens), text }
    if entry[1] <= now + 2 * minute then
      used[#used + 1] = entry
      calls.used, tokens.used = calls.used + entry[2], tokens.used + entry[3]
    end
  end
  for _, kind in ipairs({ calls, tokens }) do
    if kind.even == budget.even then
      local back = kind.limit * portion * math.max(now - kept[5], 0) / minute
      unuse(kind, math.max(back - kind.others, 0), 1, #used, 1)
      kind.others = math.max(kind.others - back, 0)
    end
  end
  if budget.calls_used > 0 or budget.tokens_used > 0 then use(math.max(budget.calls_used, 0), math.max(budget.tokens_used, 0)) end
  unuse(calls, math.max(-budget.calls_used, 0), #used, 1, -1)
  unuse(tokens, math.max(-budget.tokens_used, 0), #used, 1, -1)
  if budget.said_ms >= 0 and now - budget.said_ms >= said then
    said = now - budget.said_ms
    forget(said) -- what was used when it was said, which may be long ago
    believe(calls, budget.calls_most, budget.calls_least, budget.calls_reset_ms, 1, budget.calls_even)
    believe(tokens, budget.tokens_most, budget.tokens_least, budget.tokens_reset_ms, budget.own_tokens, budget.tokens_even)
  end
  for _, kind in ipairs({ calls, tokens }) do
    if kind.ends <= now or kind.ends > now + 2 * span() then kind.others = 0 end
  end
  forget(now)
  if budget.refused_ms >= 0 and now - budget.refused_ms > changed then
    slow_down()
    forget(now)
  end
  probes_tokens = probes(tokens)
end
local calls_left, tokens_left = paced and left_of(calls) or nil, paced and left_of(tokens) or nil
local calls_needed, tokens_granted, tokens_owed = budget.calls_needed, 0, budget.tokens_owed
local has_calls = not calls_left or calls_left >= calls_needed - budget.tiny or probes(calls)

-- Whether the budget allows so many more tokens; they are taken off. What has more than a minute's worth needs all of it; of
-- a shorter window, which may have little more than a job has, anything that is left is enough.
local function may_use(some_tokens, left_over)
  local needed = math.min(some_tokens + left_over, window < minute and 1 or tokens.limit)
  if needed > tokens_left + budget.tiny then
    if not probes_tokens then
      tokens_missing = needed - tokens_left
      return false
    end
    probes_tokens, tokens.reset = false, 0
  end
  tokens_left, tokens_granted = tokens_left - some_tokens, tokens_granted + some_tokens
  return true
end

local has_owed = not tokens_left or tokens_owed == 0 or not has_calls or may_use(tokens_owed, 0)

-- Whether the budget allows the next job of a list; its tokens are taken off.
local function may_take(list)
  if not (has_calls and has_owed) then return false end
  if not tokens_left then return true end
  local frame = redis.call('LRANGE', list, 0, 0)[1]
  if not frame then return true end
  local body = #frame - (string.find(frame, '\n', 1, true) or 0)
  local inputs = tonumber(string.match(frame, '^{"v":%d+,"crc":"%x+","id":"[%w.]+","n":(%d+),')) or 1
  return may_use(math.ceil(inputs * budget.tokens_an_input + body / budget.bytes_a_token), budget.tokens_kept)
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
  if has_calls and has_owed and (#claimed > 0 or budget.holds_jobs > 0) then
    if calls_left and calls_left < calls_needed - budget.tiny then calls.reset = 0 end
    use(calls_left and calls_needed or 0, tokens_granted)
  elseif not has_calls then
    result[11] = wait_for(calls, calls_needed - calls_left)
  elseif tokens_missing then
    result[11] = wait_for(tokens, tokens_missing)
  end
  result[12], result[13] = math.floor((left_of(calls) or -1) + budget.tiny), math.floor((left_of(tokens) or -1) + budget.tiny)
  local head = '%.6f %.4f %d %d %d'
  local parts = { string.format(head, window, portion, changed, said, now) }
  for _, kind in ipairs({ calls, tokens }) do
    parts[#parts + 1] = string.format(' %.3f %d %d %d', kind.others, kind.ends, kind.reset, kind.even)
  end
  for _, entry in ipairs(used) do -- most are as they were read
    if entry[4] then
      parts[#parts + 1] = entry[4]
    elseif entry[2] + entry[3] > budget.tiny then
      parts[#parts + 1] = string.format(';%d %.3f %.3f', entry[1], entry[2], entry[3])
    end
  end
  redis.call('SET', pace, table.concat(parts), 'PX', budget.life_ms)
end
if not has_no_suspects then result[10] = redis.call('LLEN', KEYS[10]) end
if result[2] + left_bulk + result[10] == 0 then
  redis.call('DEL', KEYS[7])
elseif redis.call('EXISTS', KEYS[7]) == 0 then
  redis.call('RPUSH', KEYS[7], '')
  redis.call('PEXPIRE', KEYS[7], ARGV[5])
end
return result
