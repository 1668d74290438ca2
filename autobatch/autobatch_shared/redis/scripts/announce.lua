-- Give up claims, and tell the workers which replies are there. A job whose claim is no longer ours was given to another
-- batcher when our lease ended: it is for that one to announce, so no job is announced twice. Failures are stored here
-- and only under a claim, so that one which comes late cannot stand in the way of another batcher's good answer.
-- KEYS  1 claimed:<batcher>, 2 reply: (with `<job>` behind it), 3 inbox: (with `<worker>` behind it)
-- ARGV  1 life of replies and inboxes in ms; 2 how many jobs have a reply stored already; the ids of these;
--       then per other job: its id, the frame of its failure ('' only gives up the claim)
-- Returns how many answers came when the claim was no longer ours.
local ttl, stored = ARGV[1], tonumber(ARGV[2])
local late = 0
local inboxes = {}

local function announce(id)
  local worker = string.match(id, '^[^.]+')
  if not worker then return end -- a foreign frame's id: no worker waits for it, and its neighbours' workers do
  local ids = inboxes[worker]
  if ids then ids[#ids + 1] = id else inboxes[worker] = { id } end
end

for i = 3, 2 + stored do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then announce(ARGV[i]) else late = late + 1 end
end
for i = 3 + stored, #ARGV, 2 do
  local id, frame = ARGV[i], ARGV[i + 1]
  local ours = redis.call('HDEL', KEYS[1], id) == 1
  if frame ~= '' then
    if ours then
      redis.call('SET', KEYS[2] .. id, frame, 'NX', 'PX', ttl)
      announce(id)
    else
      late = late + 1
    end
  end
end
for worker, ids in pairs(inboxes) do
  local inbox = KEYS[3] .. worker
  redis.call('RPUSH', inbox, unpack(ids))
  redis.call('PEXPIRE', inbox, ttl)
end
return late
