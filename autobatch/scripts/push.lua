-- Append the jobs of several requests to the queue, each request wholly or not at all.
-- KEYS  1 jobs, 2 waiting
-- ARGV  1 most inputs that may wait; then per request: how many frames, the frames
-- A job weighs as many inputs as it has, or one for each 8 kB, whichever is more: so Redis's memory is bounded too.
-- Returns the places (1-based) of the requests that were refused, empty when all are in.
local WAITING_TTL_MS = 86400000
local INPUT_BYTES = 8192 -- as in claim.lua
local CHUNK = 4000 -- unpack() takes fewer than 8000 values

local limit = tonumber(ARGV[1])
local before = tonumber(redis.call('GET', KEYS[2]) or 0)
local waiting = before
local refused, frames = {}, {}
local at, request = 2, 1
while at <= #ARGV do
  local count, inputs = tonumber(ARGV[at]), 0
  for i = at + 1, at + count do
    inputs = inputs + math.max(tonumber(string.match(ARGV[i], ',"n":(%d+)')), math.ceil(#ARGV[i] / INPUT_BYTES))
  end
  if waiting + inputs > limit then
    refused[#refused + 1] = request
  else
    waiting = waiting + inputs
    for i = at + 1, at + count do
      frames[#frames + 1] = ARGV[i]
    end
  end
  at = at + 1 + count
  request = request + 1
end
for i = 1, #frames, CHUNK do
  redis.call('RPUSH', KEYS[1], unpack(frames, i, math.min(i + CHUNK - 1, #frames)))
end
if waiting ~= before then
  redis.call('SET', KEYS[2], waiting, 'PX', WAITING_TTL_MS)
end
return refused
