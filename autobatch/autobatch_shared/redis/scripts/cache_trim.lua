-- Enter rows that were just stored into the cache's index, and drop the oldest until all fits again.
-- KEYS  1 cache:index, 2 cache:bytes, 3 cache: (with the name of a row behind it)
-- ARGV  1 life of a row in ms, 2 most bytes, 3 bytes that an entry takes beside its row, 4 most entries that are dropped
--       beyond what came in; then the names of the rows
-- Returns how many rows made room for others before their time.
-- A row keeps the size and the end that it was first stored with (`SET NX`), so a name that comes twice is one entry.
-- Both are asked of the key itself: two workers may have got the same text's vector with one digit more or less.
local ttl, limit, entry_bytes, drops_max = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local sum, added = tonumber(redis.call('GET', KEYS[2]) or 0), 0

-- Both end together. Where one is missing, it was evicted: begin anew, what was counted ends with its own TTL.
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then
  redis.call('UNLINK', KEYS[1])
  sum = 0
end

for i = 5, #ARGV do
  local key = KEYS[3] .. ARGV[i]
  local length = redis.call('STRLEN', key)
  if length > 0 then
    local size = length + entry_bytes
    local stored = now - ttl + redis.call('PTTL', key)
    if redis.call('ZADD', KEYS[1], stored, string.format('%s:%d', ARGV[i], size)) == 1 then
      sum = sum + size
      added = added + size
    end
  end
end

local dropped, evicted, freed = 0, 0, 0
while dropped < drops_max or freed < added do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if not oldest[1] or (sum <= limit and tonumber(oldest[2]) > now - ttl) then break end
  local name, size = string.match(oldest[1], '^(.*):(%d+)$')
  redis.call('ZREM', KEYS[1], oldest[1])
  redis.call('UNLINK', KEYS[3] .. name)
  sum = sum - tonumber(size)
  freed = freed + tonumber(size)
  dropped = dropped + 1
  if tonumber(oldest[2]) > now - ttl then evicted = evicted + 1 end
end

redis.call('SET', KEYS[2], sum, 'PX', ttl)
redis.call('PEXPIRE', KEYS[1], ttl)
return evicted
