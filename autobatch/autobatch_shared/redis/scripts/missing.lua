-- Find the jobs that Redis does not have any more: they wait nowhere, no batcher has them, and they have no reply.
-- KEYS  1 jobs, 2 jobs:bulk, 3 retry, 4 suspects, 5 jobs of our version that others left to us, 6 leases, 7 claimed: (with
--       `<batcher>` behind it), 8 reply: (with `<job>` behind it)
-- ARGV  1 most elements that are read at once; the ids
-- Returns the ids that are missing.
local piece = tonumber(ARGV[1])
local batchers = redis.call('ZRANGE', KEYS[6], 0, -1)
local missing, count = {}, 0

local function is_held(id)
  if redis.call('EXISTS', KEYS[8] .. id) == 1 then return true end
  for _, batcher in ipairs(batchers) do
    if redis.call('HEXISTS', KEYS[7] .. batcher, id) == 1 then return true end
  end
  return false
end

for i = 2, #ARGV do
  if not is_held(ARGV[i]) then
    missing[ARGV[i]] = true
    count = count + 1
  end
end
-- All lists at once, from their heads on: the oldest jobs, which are asked for most, stand there.
local from, is_more = 0, true
while count > 0 and is_more do
  is_more = false
  for list = 1, 5 do
    local frames = redis.call('LRANGE', KEYS[list], from, from + piece - 1)
    for _, frame in ipairs(frames) do
      local id = string.match(frame, '"id":"([%w.]+)"')
      if id and missing[id] then
        missing[id] = nil
        count = count - 1
      end
    end
    is_more = is_more or #frames == piece
  end
  from = from + piece
end

local result = {}
for i = 2, #ARGV do
  if missing[ARGV[i]] then result[#result + 1] = ARGV[i] end
end
return result
