-- Let one batcher at a time try what an upstream may have died of.
-- KEYS  1 trial
-- ARGV  1 token of the attempt, 2 for how many ms no other batcher may try from now on; 0: the attempt is over
-- Returns 1, also when it had the token already, as after a lost reply; 0 while another attempt has it
local held = redis.call('GET', KEYS[1])
if held then
  local life, token = string.match(held, '^(%d+) (.+)$')
  if token ~= ARGV[1] then
    -- Lifetimes end by Redis's clock: after a step back one would last so much longer than it was given.
    if life and redis.call('PTTL', KEYS[1]) > tonumber(life) then
      redis.call('PEXPIRE', KEYS[1], life)
    end
    return 0
  end
end
-- First a write that needs no memory: a Redis without any refuses a script's first write, but not the second.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. ARGV[1], 'PX', ARGV[2])
end
return 1
