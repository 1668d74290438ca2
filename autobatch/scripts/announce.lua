-- Give up claims, and tell the workers which replies are there. A job whose claim is no longer ours was given to another
-- batcher when our lease ended: it is for that one to announce, so no job is announced twice.
-- KEYS  1 claimed:<batcher>
-- ARGV  1 key prefix, 2 life of an inbox in ms, 3 how many of the ids have a reply (they come first); then job ids
-- Returns how many claims were no longer ours.
local prefix, ttl, answered = ARGV[1], ARGV[2], tonumber(ARGV[3])
local late = 0
local inboxes = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  if redis.call('HDEL', KEYS[1], id) == 0 then
    late = late + 1
  elseif i - 3 <= answered then
    local worker = string.match(id, '^[^.]+')
    local ids = inboxes[worker]
    if ids then ids[#ids + 1] = id else inboxes[worker] = { id } end
  end
end
for worker, ids in pairs(inboxes) do
  local inbox = prefix .. 'inbox:' .. worker
  redis.call('RPUSH', inbox, unpack(ids))
  redis.call('PEXPIRE', inbox, ttl)
end
return late
