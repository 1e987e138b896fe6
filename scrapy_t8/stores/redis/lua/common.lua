-- What all scripts share. KEYS[1] is the prefix of the job's keys, which lie in one hash slot.
-- A script that fails half-way is not undone: so every script checks all that can fail before its first write.
-- Numbers of Lua are exact up to 2^53: ids and fingerprints, which may be larger, stay text.

local P = KEYS[1]
local call = redis.call
local CHUNK = 1000
local LATEST = 9999999999999

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Which run of the server this is: a server that was killed may have lost its last second.
local function server_run()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
end

-- Call one command for as many arguments at a time as the stack of Lua takes. CHUNK is even: pairs stay together.
local function each(command, key, arguments)
  for first = 1, #arguments, CHUNK do
    call(command, key, unpack(arguments, first, math.min(first + CHUNK - 1, #arguments)))
  end
end

-- What an entry has been through: nothing; a page may have yielded children for it; a dead worker has left it.
local NEW, AGAIN, LEFT = '0', '1', '2'

-- An entry is one text: the order of its admission (13 digits), the number of crashes (3), what it has been through (1),
-- its name, its body. The name is the slot, a zero byte, and the score (10 digits), by which ready requests are sorted.
local function entry_of(order, crashes, past, rest)
  return string.format('%013.0f%03d%s', order, math.min(crashes, 999), past) .. rest
end

local function name_of(entry)
  return string.match(entry, '^[^%z]*%z%d%d%d%d%d%d%d%d%d%d', 18)
end

local function slot_in(name)
  return string.sub(name, 1, -12)
end

local function past_of(entry)
  return string.sub(entry, 17, 17)
end

-- The member of the set of ready requests: one set has all slots. Requests of start() go first in, first out: an odd
-- score marks them.
local function member(id, name, order, is_fifo)
  if not is_fifo and string.byte(name, -1) % 2 == 0 then
    order = LATEST - order
  end
  return name .. string.format('%013.0f', order) .. id
end

local function id_of(found, slot)
  return string.sub(found, #slot + 25)
end

-- The state of each slot that a script touches, read and written once: {limit, delay in ms, number of leased requests,
-- when the next turn is free, until when its host is paused}. Only a state that differs from that of an unused slot is
-- stored.
local LIMIT, DELAY, LEASED, TURN, PAUSED = 1, 2, 3, 4, 5
local slots, names, default, workers = {}, {}, nil, nil

local function load_slots(wanted)
  if not default then
    local limits = call('HMGET', P .. 'job', 'limit', 'delay')
    default = {tonumber(limits[1] or 8), tonumber(limits[2] or 0)}
    workers = call('ZCARD', P .. 'alive')
  end
  local missing = {}
  for _, name in ipairs(wanted) do
    if slots[name] == nil then
      slots[name] = false
      names[#names + 1] = name
      missing[#missing + 1] = name
    end
  end
  for first = 1, #missing, CHUNK do
    local last = math.min(first + CHUNK - 1, #missing)
    local stored = call('HMGET', P .. 'slots', unpack(missing, first, last))
    for i = first, last do
      local state = stored[i - first + 1]
      slots[missing[i]] = state and cmsgpack.unpack(state) or {default[LIMIT], default[DELAY], 0, 0, 0}
    end
  end
end

local function slot_of(name)
  if not slots[name] then
    load_slots({name})
  end
  return slots[name]
end

-- With one worker, the limit is kept by the worker's own downloader: the worker may hold more, to be busy.
local SPARE = 8
local function spare_of(slot)
  return (workers > 1 and slot[LIMIT] or slot[LIMIT] * SPARE) - slot[LEASED]
end

-- When a slot may be asked next, in ms: not before turns that are given out (download delay), nor in a pause.
local function turn_of(slot, now, horizon)
  local turn = math.max(now, slot[PAUSED])
  return slot[DELAY] == 0 and turn or math.max(turn, slot[TURN] - horizon)
end

local function write_slots(now)
  local stored, unused = {}, {}
  for _, name in ipairs(names) do
    local s = slots[name]
    s[TURN], s[PAUSED] = s[TURN] > now and s[TURN] or 0, s[PAUSED] > now and s[PAUSED] or 0
    if s[LEASED] + s[TURN] + s[PAUSED] == 0 and s[LIMIT] == default[LIMIT] and s[DELAY] == default[DELAY] then
      unused[#unused + 1] = name
    else
      stored[#stored + 1] = name
      stored[#stored + 1] = cmsgpack.pack(s)
    end
  end
  each('HSET', P .. 'slots', stored)
  each('HDEL', P .. 'slots', unused)
  slots, names = {}, {}
end

-- What becomes ready, and the slots that are to be asked for requests: written by write_ready.
local ready, open = {}, {}

local function put_ready(id, name, order, is_fifo)
  ready[#ready + 1] = 0
  ready[#ready + 1] = member(id, name, order, is_fifo)
end

local function put_entry_ready(id, entry, is_fifo)
  local name = name_of(entry)
  put_ready(id, name, tonumber(string.sub(entry, 1, 13)), is_fifo)
  open[slot_in(name)] = true
  return slot_in(name)
end

local function write_ready(now)
  each('ZADD', P .. 'ready', ready)
  local turns = {}
  for name in pairs(open) do
    turns[#turns + 1] = now
    turns[#turns + 1] = name
  end
  for first = 1, #turns, CHUNK do
    call('ZADD', P .. 'turns', 'NX', unpack(turns, first, math.min(first + CHUNK - 1, #turns)))
  end
  ready, open = {}, {}
end

local function add_to_ledger(name, change)
  if change ~= 0 then
    call('HINCRBY', P .. 'ledger', name, change)
  end
end

-- Give back what a worker has leased. With charge, a crash is counted for each entry whose request was sent.
local function release(worker, charge, now)
  local key = P .. 'lease:' .. worker
  local is_fifo, leased = call('HGET', P .. 'job', 'order') == 'fifo', call('HGETALL', key)
  local count = 0
  for i = 1, #leased, 2 do
    local id, entry = leased[i], call('HGET', P .. 'entry', leased[i])
    if entry then
      local order, crashes = tonumber(string.sub(entry, 1, 13)), tonumber(string.sub(entry, 14, 16))
      if charge and string.sub(leased[i + 1], 1, 1) == '1' then
        crashes = crashes + 1
      end
      call('HSET', P .. 'entry', id, entry_of(order, crashes, charge and LEFT or AGAIN, string.sub(entry, 18)))
      local slot = slot_of(put_entry_ready(id, entry, is_fifo))
      slot[LEASED] = slot[LEASED] - 1
      count = count + 1
    end
  end
  write_ready(now)
  write_slots(now)
  call('DEL', key)
  add_to_ledger('leased', -count)
  return count
end

local function counts()
  return {
    call('ZCARD', P .. 'ready'), tonumber(call('HGET', P .. 'ledger', 'leased') or 0), call('ZCARD', P .. 'waiting'),
    tonumber(call('HGET', P .. 'job', 'start_done') or 0), call('ZCARD', P .. 'alive')}
end
