-- Append the jobs of several requests to the queue, each request wholly or not at all.
-- KEYS  1 jobs, 2 waiting
-- ARGV  1 most inputs that may wait; then per request: its inputs, how many frames, the frames
-- Returns the places (1-based) of the requests that were refused, empty when all are in.
local WAITING_TTL_MS = 86400000
local CHUNK = 4000 -- unpack() takes fewer than 8000 values

local limit = tonumber(ARGV[1])
local before = tonumber(redis.call('GET', KEYS[2]) or 0)
local waiting = before
local refused, frames = {}, {}
local at, request = 2, 1
while at <= #ARGV do
  local inputs, count = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if waiting + inputs > limit then
    refused[#refused + 1] = request
  else
    waiting = waiting + inputs
    for i = at + 2, at + 1 + count do
      frames[#frames + 1] = ARGV[i]
    end
  end
  at = at + 2 + count
  request = request + 1
end
for i = 1, #frames, CHUNK do
  redis.call('RPUSH', KEYS[1], unpack(frames, i, math.min(i + CHUNK - 1, #frames)))
end
if waiting ~= before then
  redis.call('SET', KEYS[2], waiting, 'PX', WAITING_TTL_MS)
end
return refused
