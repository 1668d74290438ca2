-- Give claimed jobs back to the queue, before all others: their batcher cannot send them, and another one can.
-- KEYS  1 claimed:<batcher>, 2 retry, 3 bell
-- ARGV  1 life of the bell in ms; jobs, the youngest first
-- Returns how many were claimed still, and are given back.
local claimed = redis.call('HGETALL', KEYS[1])
local frames, given_back = {}, 0
for i = 1, #claimed, 2 do
  frames[claimed[i]] = claimed[i + 1]
end
for i = 2, #ARGV do
  local frame = frames[ARGV[i]]
  if frame then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('LPUSH', KEYS[2], frame)
    given_back = given_back + 1
  end
end
if given_back > 0 and redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('RPUSH', KEYS[3], '')
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
end
return given_back
