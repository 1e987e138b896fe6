-- What all scripts share. KEYS[1] is the prefix of the job's keys, which lie in one hash slot.
-- A script that fails half-way is not undone: so every script checks all that can fail before its first write.
-- Numbers of Lua are exact up to 2^53: ids and fingerprints, which may be larger, stay text.

local P = KEYS[1]
local call = redis.call
local CHUNK = 1000
local LATEST = 999999999999999

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
local NEW, AGAIN, LEFT = 0, 1, 2

-- An entry is a header {slot, score, order, crashes, past} of MessagePack, and a body that only Python reads.
local function header_of(entry)
  local offset, header = cmsgpack.unpack_one(entry, 0)
  return header, offset < 0 and '' or string.sub(entry, offset + 1)
end

-- Entries of one slot and one priority are sorted by the order in which they were admitted.
local function member(id, order, is_fifo)
  return string.format('%015.0f:', is_fifo and order or LATEST - order) .. id
end

local function id_of(name)
  return string.sub(name, 17)
end

-- Requests of start() have a queue of their own: first in, first out. An odd score marks them.
local function is_fifo(score, job_order)
  return job_order == 'fifo' or score % 2 == 1
end

-- Changes of slots, gathered, so that each slot is written once.
local slots = {}
local function slot_of(name)
  local slot = slots[name]
  if not slot then
    slot = {ready = {}, leased = 0}
    slots[name] = slot
  end
  return slot
end

local function put_ready(id, header, job_order)
  local ready = slot_of(header[1]).ready
  ready[#ready + 1] = header[2]
  ready[#ready + 1] = member(id, header[3], is_fifo(header[2], job_order))
end

local function limits_of(slot)
  local limit, delay = string.match(call('HGET', P .. 'limits', slot) or '', '^(%d+):(%d+)$')
  return tonumber(limit or 8), tonumber(delay or 0)
end

-- With one worker, the limit is kept by the worker's own downloader: the worker may hold more, to be busy.
local SPARE = 8
local function most_leased(limit)
  return call('ZCARD', P .. 'alive') > 1 and limit or limit * SPARE
end

-- When a slot may be asked next, in ms: turns that are reserved ahead (download delay), or a pause of its host.
local function turn_of(slot, delay, now, horizon)
  local turn = math.max(now, tonumber(call('HGET', P .. 'paused', slot) or 0))
  if delay == 0 then
    return turn
  end
  return math.max(turn, tonumber(call('HGET', P .. 'next', slot) or 0) - horizon)
end

-- Put a slot among those that are asked for requests, or take it out: nothing is ready, or too much is leased.
local function refresh(slot, now, horizon)
  local limit, delay = limits_of(slot)
  local leased = tonumber(call('HGET', P .. 'leased', slot) or 0)
  if leased < most_leased(limit) and call('EXISTS', P .. 'ready:' .. slot) == 1 then
    call('ZADD', P .. 'turns', 'NX', turn_of(slot, delay, now, horizon), slot)
  else
    call('ZREM', P .. 'turns', slot)
  end
end

local function write_slots(now, horizon)
  for name, slot in pairs(slots) do
    each('ZADD', P .. 'ready:' .. name, slot.ready)
    if slot.leased ~= 0 then
      if call('HINCRBY', P .. 'leased', name, slot.leased) == 0 then
        call('HDEL', P .. 'leased', name)
      end
    end
    refresh(name, now, horizon)
  end
  slots = {}
end

local function add_to_ledger(name, change)
  if change ~= 0 then
    call('HINCRBY', P .. 'ledger', name, change)
  end
end

-- Give back what a worker has leased. With charge, a crash is counted for each entry whose request was sent.
local function release(worker, charge, now, horizon)
  local key = P .. 'lease:' .. worker
  local job_order, leased = call('HGET', P .. 'job', 'order'), call('HGETALL', key)
  local count = 0
  for i = 1, #leased, 2 do
    local id, entry = leased[i], call('HGET', P .. 'entry', leased[i])
    if entry then
      local header, body = header_of(entry)
      if charge and string.sub(leased[i + 1], 1, 1) == '1' then
        header[4] = header[4] + 1
      end
      header[5] = charge and LEFT or AGAIN
      call('HSET', P .. 'entry', id, cmsgpack.pack(header) .. body)
      put_ready(id, header, job_order)
      local slot = slot_of(header[1])
      slot.leased = slot.leased - 1
      count = count + 1
    end
  end
  write_slots(now, horizon)
  call('DEL', key)
  add_to_ledger('ready', count)
  add_to_ledger('leased', -count)
  return count
end

local function counts()
  local ledger = call('HMGET', P .. 'ledger', 'ready', 'leased', 'waiting')
  local job = call('HMGET', P .. 'job', 'start_done', 'state')
  local workers = call('ZCARD', P .. 'alive')
  return {tonumber(ledger[1] or 0), tonumber(ledger[2] or 0), tonumber(ledger[3] or 0), tonumber(job[1] or 0), workers}
end
