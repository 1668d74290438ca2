-- The data of one Redis, and the commands that the queue uses on it. In Lua, as the scripts are: a call from Lua to Python costs
-- as much as ten commands, and a script makes seven.
-- A value is a string, or a table by its `kind`: a list is a row; a hash has `names`, in the order in which they came, and
-- `fields`; a sorted set has `scores` and its `length`. Replies are strings, numbers, `false` for nothing, rows, and { ok = ... }.
local floor, max, min, sort, insert, remove = math.floor, math.max, math.min, table.sort, table.insert, table.remove
local pcall, select, tonumber, tostring, type, unpack = pcall, select, tonumber, tostring, type, unpack
local concat, format, match, upper = table.concat, string.format, string.match, string.upper

local data, now -- the store that is worked on, and its clock, unix ms
local was_pushed = false -- whether something was pushed to a list in this call from Python
local OK = { ok = 'OK' }
local WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'

local function text(value)
  if type(value) ~= 'number' then return value end
  return format(value == floor(value) and '%.0f' or '%.17g', value)
end

local function get(key, kind)
  local value = data.values[key]
  if value == nil then return nil end
  local ends = data.ends[key]
  if ends and ends <= now then
    data.values[key], data.ends[key] = nil, nil
    return nil
  end
  if kind and (type(value) == 'string' and 'string' or value.kind) ~= kind then error(WRONG_TYPE, 0) end
  return value
end

local function drop(key)
  local had = get(key) ~= nil
  data.values[key], data.ends[key] = nil, nil
  return had and 1 or 0
end

local function each(...)
  return ipairs({ ... })
end

-- Returns the places of options, by their names in capitals.
local function flags_of(...)
  local places = {}
  for place, option in each(...) do
    places[upper(option)] = place
  end
  return places
end

-- Returns the first and the last place of what Redis calls first..last.
local function span(first, last, length)
  first, last = tonumber(first), tonumber(last)
  if first < 0 then first = max(first + length, 0) end
  if last < 0 then last = last + length end
  return first + 1, min(last + 1, length)
end

local commands = {}

-- Keys and strings

function commands.DEL(...)
  local dropped = 0
  for i = 1, select('#', ...) do
    dropped = dropped + drop((select(i, ...)))
  end
  return dropped
end
commands.UNLINK = commands.DEL

function commands.EXISTS(...)
  local found = 0
  for _, key in each(...) do
    if get(key) ~= nil then found = found + 1 end
  end
  return found
end

function commands.TYPE(key)
  local value = get(key)
  return { ok = value == nil and 'none' or type(value) == 'string' and 'string' or value.kind }
end

function commands.PEXPIRE(key, life)
  if get(key) == nil then return 0 end
  life = tonumber(life)
  if life <= 0 then return drop(key) end
  data.ends[key] = now + life
  return 1
end

function commands.PTTL(key)
  if get(key) == nil then return -2 end
  local ends = data.ends[key]
  return ends and floor(ends - now + 0.5) or -1
end

function commands.SET(key, value, ...)
  local old = get(key)
  local flags = flags_of(...)
  if (flags.NX and old ~= nil) or (flags.XX and old == nil) then return flags.GET and old or false end
  local ends = flags.KEEPTTL and data.ends[key] or nil
  local unit = flags.PX or flags.EX
  if unit then
    local life = tonumber((select(unit + 1, ...)))
    if life <= 0 then error("ERR invalid expire time in 'set' command", 0) end
    ends = now + life * (flags.PX and 1 or 1000)
  end
  data.values[key], data.ends[key] = text(value), ends
  if flags.GET then return old or false end
  return OK
end

function commands.GET(key)
  return get(key, 'string') or false
end

function commands.GETDEL(key)
  local value = get(key, 'string')
  drop(key)
  return value or false
end

function commands.MGET(...)
  local found = {}
  for i, key in each(...) do
    local value = get(key)
    found[i] = type(value) == 'string' and value
  end
  return found
end

function commands.STRLEN(key)
  return #(get(key, 'string') or '')
end

function commands.INCRBY(key, by)
  local total = tonumber(get(key, 'string') or 0) + tonumber(by)
  data.values[key] = text(total)
  return total
end

function commands.DECRBY(key, by)
  return commands.INCRBY(key, -tonumber(by))
end

function commands.INCR(key)
  return commands.INCRBY(key, 1)
end

function commands.DECR(key)
  return commands.INCRBY(key, -1)
end

function commands.TIME()
  return { string.format('%.0f', floor(now / 1000)), string.format('%.0f', floor(now % 1000 * 1000)) }
end

-- Lists

local function list_to_push(key)
  local list = get(key, 'list')
  if not list then
    list = { kind = 'list' }
    data.values[key] = list
  end
  was_pushed = true
  return list
end

function commands.RPUSH(key, ...)
  local list = list_to_push(key)
  for i = 1, select('#', ...) do
    list[#list + 1] = text((select(i, ...)))
  end
  return #list
end

function commands.LPUSH(key, ...)
  local list = list_to_push(key)
  for i = 1, select('#', ...) do
    insert(list, 1, text((select(i, ...))))
  end
  return #list
end

local function popped(key, count, place)
  local list = get(key, 'list')
  if not list then return false end
  local values = {}
  for i = 1, min(count and tonumber(count) or 1, #list) do
    values[i] = remove(list, place or #list)
  end
  if #list == 0 then drop(key) end
  if count then return values end
  return values[1]
end

function commands.LPOP(key, count)
  return popped(key, count, 1)
end

function commands.RPOP(key, count)
  return popped(key, count, nil)
end

function commands.LLEN(key)
  return #(get(key, 'list') or '')
end

function commands.LINDEX(key, place)
  local list = get(key, 'list') or {}
  place = tonumber(place)
  return list[place < 0 and #list + place + 1 or place + 1] or false
end

function commands.LRANGE(key, first, last)
  local list = get(key, 'list') or {}
  local from, to = span(first, last, #list)
  return { unpack(list, from, to) }
end

function commands.LTRIM(key, first, last)
  local list = get(key, 'list')
  if not list then return OK end
  local from, to = span(first, last, #list)
  for i = #list, 1, -1 do
    if i < from or i > to then remove(list, i) end
  end
  if #list == 0 then drop(key) end
  return OK
end

function commands.LREM(key, count, value)
  local list = get(key, 'list')
  if not list then return 0 end
  count = tonumber(count)
  local most, found = count == 0 and #list or math.abs(count), 0
  local place, step = 1, 1
  if count < 0 then place, step = #list, -1 end
  while list[place] and found < most do
    if list[place] == value then
      remove(list, place)
      found = found + 1
      if step < 0 then place = place - 1 end
    else
      place = place + step
    end
  end
  if #list == 0 then drop(key) end
  return found
end

function commands.LMOVE(source, target, take, put)
  local moved = popped(source, nil, upper(take) == 'LEFT' and 1 or nil)
  if moved then commands[upper(put) == 'LEFT' and 'LPUSH' or 'RPUSH'](target, moved) end
  return moved
end

function commands.LMPOP(keys, ...)
  keys = tonumber(keys)
  local side, _, count = select(keys + 1, ...)
  for i = 1, keys do
    local key = select(i, ...)
    local values = popped(key, count or 1, upper(side) == 'LEFT' and 1 or nil)
    if values then return { key, values } end
  end
  return false
end

-- Hashes

function commands.HSET(key, ...)
  local hash = get(key, 'hash')
  if not hash then
    hash = { kind = 'hash', names = {}, fields = {} }
    data.values[key] = hash
  end
  local added = 0
  for i = 1, select('#', ...), 2 do
    local name, value = select(i, ...)
    if hash.fields[name] == nil then
      hash.names[#hash.names + 1] = name
      added = added + 1
    end
    hash.fields[name] = text(value)
  end
  return added
end

local function field(key, name)
  local hash = get(key, 'hash')
  return hash and hash.fields[name]
end

function commands.HSETNX(key, name, value)
  return field(key, name) and 0 or commands.HSET(key, name, value)
end

function commands.HGET(key, name)
  return field(key, name) or false
end

function commands.HMGET(key, ...)
  local found = {}
  for i, name in each(...) do
    found[i] = field(key, name) or false
  end
  return found
end

function commands.HEXISTS(key, name)
  return field(key, name) and 1 or 0
end

function commands.HDEL(key, ...)
  local hash = get(key, 'hash')
  if not hash then return 0 end
  local gone = 0
  for _, name in each(...) do
    if hash.fields[name] ~= nil then
      hash.fields[name] = nil
      gone = gone + 1
      for i = 1, #hash.names do
        if hash.names[i] == name then
          remove(hash.names, i)
          break
        end
      end
    end
  end
  if #hash.names == 0 then drop(key) end
  return gone
end

function commands.HLEN(key)
  local hash = get(key, 'hash')
  return hash and #hash.names or 0
end

function commands.HKEYS(key)
  local hash = get(key, 'hash')
  return hash and { unpack(hash.names) } or {}
end

function commands.HVALS(key)
  local hash = get(key, 'hash')
  return hash and commands.HMGET(key, unpack(hash.names)) or {}
end

function commands.HGETALL(key)
  local hash, flat = get(key, 'hash'), {}
  for _, name in ipairs(hash and hash.names or {}) do
    flat[#flat + 1] = name
    flat[#flat + 1] = hash.fields[name]
  end
  return flat
end

function commands.HINCRBY(key, name, by)
  local total = tonumber(field(key, name) or 0) + tonumber(by)
  commands.HSET(key, name, total)
  return total
end

-- Sorted sets

function commands.ZADD(key, ...)
  local flags, first = {}, 1
  while not tonumber((select(first, ...))) do
    flags[upper((select(first, ...)))] = true
    first = first + 1
  end
  local set = get(key, 'zset')
  if not set then
    if flags.XX then return 0 end
    set = { kind = 'zset', scores = {}, length = 0 }
    data.values[key] = set
  end
  local added, changed = 0, 0
  for i = first, select('#', ...), 2 do
    local score, member = select(i, ...)
    score = tonumber(score)
    local old = set.scores[member]
    local is_kept = (old and (flags.NX or (flags.GT and score <= old) or (flags.LT and score >= old))) or (not old and flags.XX)
    if not is_kept then
      set.scores[member] = score
      if not old then
        added, set.length = added + 1, set.length + 1
      end
      if old ~= score then changed = changed + 1 end
    end
  end
  if set.length == 0 then drop(key) end
  return flags.CH and changed or added
end

function commands.ZSCORE(key, member)
  local set = get(key, 'zset')
  local score = set and set.scores[member]
  return score and text(score) or false
end

function commands.ZCARD(key)
  local set = get(key, 'zset')
  return set and set.length or 0
end

function commands.ZREM(key, ...)
  local set = get(key, 'zset')
  if not set then return 0 end
  local gone = 0
  for _, member in each(...) do
    if set.scores[member] then
      set.scores[member] = nil
      gone = gone + 1
    end
  end
  set.length = set.length - gone
  if set.length == 0 then drop(key) end
  return gone
end

local function bound(given)
  local is_open = type(given) == 'string' and given:sub(1, 1) == '('
  local number = is_open and given:sub(2) or given
  if number == '-inf' then return -math.huge, is_open end
  if number == '+inf' or number == 'inf' then return math.huge, is_open end
  return tonumber(number), is_open
end

-- Returns the members from one score to another, the lowest first.
local function between(key, low, high)
  local set, found = get(key, 'zset'), {}
  if not set then return found end
  local least, above = bound(low)
  local most, below = bound(high)
  local scores = set.scores
  for member, score in pairs(scores) do
    if (score > least or (score == least and not above)) and (score < most or (score == most and not below)) then
      found[#found + 1] = member
    end
  end
  sort(found, function(one, other)
    if scores[one] ~= scores[other] then return scores[one] < scores[other] end
    return one < other
  end)
  return found
end

local function flat(key, members, with_scores)
  if not with_scores then return members end
  local scores, row = get(key, 'zset'), {}
  for _, member in ipairs(members) do
    row[#row + 1] = member
    row[#row + 1] = text(scores.scores[member])
  end
  return row
end

function commands.ZCOUNT(key, low, high)
  return #between(key, low, high)
end

function commands.ZRANGE(key, first, last, ...)
  local found
  if flags_of(...).BYSCORE then
    found = between(key, first, last)
  else
    found = between(key, '-inf', '+inf')
    local from, to = span(first, last, #found)
    found = { unpack(found, from, to) }
  end
  return flat(key, found, flags_of(...).WITHSCORES)
end

function commands.ZRANGEBYSCORE(key, low, high, ...)
  local found = between(key, low, high)
  local at = flags_of(...).LIMIT
  if at then
    local offset, count = select(at + 1, ...)
    found = { unpack(found, offset + 1, min(offset + count, #found)) }
  end
  return flat(key, found, flags_of(...).WITHSCORES)
end

function commands.ZREMRANGEBYSCORE(key, low, high)
  return commands.ZREM(key, unpack(between(key, low, high)))
end

-- Connections

local function ok()
  return OK
end
commands.AUTH, commands.SELECT, commands.CLIENT = ok, ok, ok

function commands.PING()
  return { ok = 'PONG' }
end

function commands.ROLE()
  return { 'master', 0, {} }
end

local function call(name, ...)
  local command = commands[name]
  if not command then error("ERR unknown command '" .. name .. "'", 0) end
  return command(...)
end
redis = { call = call }

-- Returns a reply as RESP2; a row ends at its first hole. To be written here is half of what it costs in Python.
local function written(reply)
  local kind = type(reply)
  if kind == 'string' then return '$' .. #reply .. '\r\n' .. reply .. '\r\n' end
  if kind == 'number' then return format(':%d\r\n', reply) end
  if kind ~= 'table' then return reply and ':1\r\n' or '$-1\r\n' end
  if reply.ok then return '+' .. reply.ok .. '\r\n' end
  local parts, length = {}, 0
  while reply[length + 1] ~= nil do
    length = length + 1
    parts[length] = written(reply[length])
  end
  return '*' .. length .. '\r\n' .. concat(parts)
end

-- Returns an error as RESP2; beyond its first line is where in Lua it happened.
local function refused(message)
  local line = match(tostring(message), '^[^\r\n]*')
  return '-' .. (match(line, '^%u+ ') and '' or 'ERR ') .. line .. '\r\n'
end

-- What Python gets: the reply, and true where something was pushed to a list.
local function replied(is_well, reply)
  reply = is_well and written(reply) or refused(reply)
  if not was_pushed then return reply end
  was_pushed = false
  return reply, true
end

local function copied(value)
  if type(value) ~= 'table' then return value end
  local other = {}
  for name, part in pairs(value) do
    other[name] = copied(part)
  end
  return other
end

local outside = {}

function outside.new()
  return { values = {}, ends = {} }
end

function outside.execute(store, now_ms, name, ...)
  data, now = store, now_ms
  return replied(pcall(call, name, ...))
end

-- A script as a function of its number of keys, and KEYS and ARGV in one row.
function outside.wrapped(script)
  return function(store, now_ms, keys, ...)
    data, now = store, now_ms
    local all = { ... }
    return replied(pcall(script, { unpack(all, 1, keys) }, { unpack(all, keys + 1, select('#', ...)) }))
  end
end

function outside.names(store, now_ms)
  data, now = store, now_ms
  local names = {}
  for name in pairs(copied(store.ends)) do
    get(name) -- which drops what has ended
  end
  for name in pairs(store.values) do
    names[#names + 1] = name
  end
  sort(names)
  return written(names)
end

function outside.copy(store)
  return copied(store)
end

-- Have the data of another store from now on.
function outside.become(store, other)
  store.values, store.ends = other.values, other.ends
end

return outside
