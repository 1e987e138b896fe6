-- Settle, admit, record, and hand out leases: all of it, or nothing.
-- ARGV: worker, session, number of the commit, batch, wanted leases, ttl ms, horizon ms, version of the hosts that the
-- worker knows

local W, session, n, want = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local ttl, horizon, hosts_version = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local L = P .. 'lease:' .. W

if call('HGET', P .. 'worker', W) ~= session then
  return {'fenced'}
end
local job = call('HMGET', P .. 'job', 'server', 'order', 'next', 'hosts')
if job[1] ~= server_run() then
  return {'restarted'}
end
local applied = tonumber(call('HGET', P .. 'applied', W))
local now = now_ms()

local function spawn_of(id)
  return call('HGETALL', P .. 'spawn:' .. id)
end

local function hosts_since()
  local version = call('HGET', P .. 'job', 'hosts') or '0'
  if version == hosts_version then
    return {version}
  end
  return {version, call('HGETALL', P .. 'hosts')}
end

if n == applied then -- the answer was lost: give it again
  local answer, leases = cmsgpack.unpack(call('HGET', P .. 'answer', W)), {}
  for i = 1, #answer[2], 2 do
    local id = answer[2][i]
    leases[#leases + 1] = {id, call('HGET', P .. 'entry', id), math.max(0, answer[2][i + 1] - now), spawn_of(id)}
  end
  return {'again', answer[1], leases, counts(), hosts_since()}
end
if n ~= applied + 1 then
  return {'behind', applied}
end

-- Checks.
local batch = cmsgpack.unpack(ARGV[4])
local slot_by_id = {}
for _, ids in ipairs({batch.done, batch.started, batch.waits}) do
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    local leased = call('HMGET', L, unpack(ids, first, last))
    for i = first, last do
      local lease = leased[i - first + 1]
      if not lease then
        return {'broken', ids[i]}
      end
      slot_by_id[ids[i]] = string.sub(lease, 2)
    end
  end
end
local waits = {} -- of each entry that is to wait, what comes before its body
for i, id in ipairs(batch.waits) do
  local entry = call('HGET', P .. 'entry', id)
  if not entry then
    return {'broken', id}
  end
  local name = name_of(entry)
  waits[i] = entry_of(tonumber(string.sub(entry, 1, 13)), tonumber(string.sub(entry, 14, 16)), AGAIN, name)
end
local seeds = batch.seeds -- nothing, or: key, type, id, id...
if #seeds > 0 then
  local kind = call('TYPE', seeds[1]).ok
  if kind == 'none' then
    seeds = {}
  elseif kind ~= seeds[2] then
    return {'foreign', seeds[1], kind}
  end
end
local conflicts = {}
for _, key in ipairs(batch.keys) do
  if call('SISMEMBER', P .. 'had:' .. key[1], key[2]) == 1 then
    conflicts[#conflicts + 1] = {'key', key[2]}
  end
end
local ids, names_of, bodies, buckets, fingerprints = unpack(batch.added)
for _, i in ipairs(batch.marked) do
  if call('SISMEMBER', P .. 'seen:' .. buckets[i], fingerprints[i]) == 1 then
    conflicts[#conflicts + 1] = {'request', ids[i]}
  end
end
if #conflicts > 0 then
  return {'conflict', conflicts}
end

-- From here on nothing may fail.
local leased, wanted = 0, {}
for _, name in pairs(slot_by_id) do
  wanted[#wanted + 1] = name
end
load_slots(wanted)
for name, limits in pairs(batch.limits) do
  local slot = slot_of(name)
  slot[LIMIT], slot[DELAY] = limits[1], limits[2]
end

for _, name in ipairs(batch.slots) do
  open[name] = true
end

local dropped, admitted, own = {}, 0, {}
local order, is_fifo = tonumber(job[3] or 0), job[2] == 'fifo'
local entries, seen, replaced = {}, P .. 'seen:', {}
for _, r in ipairs(batch.replaces) do -- index, old entry
  replaced[r[1]] = r[2]
end
for i, id in ipairs(ids) do
  if fingerprints[i] == '' or call('SADD', seen .. buckets[i], fingerprints[i]) == 1 then
    order = order + 1
    admitted = admitted + 1
    entries[#entries + 1] = id
    entries[#entries + 1] = entry_of(order, 0, replaced[i] and AGAIN or NEW, bodies[i])
    own[id] = not replaced[i]
    put_ready(id, names_of[i], order, is_fifo)
  else
    dropped[#dropped + 1] = id
  end
end
for i, old in pairs(replaced) do -- a request that takes a place is not another one
  admitted = admitted - 1
  if call('EXISTS', P .. 'spawn:' .. old) == 1 then
    call('RENAME', P .. 'spawn:' .. old, P .. 'spawn:' .. ids[i])
  end
end
for _, c in ipairs(batch.children) do -- index, parent, key
  if own[ids[c[1]]] ~= nil then
    call('HSET', P .. 'spawn:' .. c[2], c[3], ids[c[1]])
  end
end
for _, s in ipairs(batch.spawned) do -- parent, child key, child
  call('HSET', P .. 'spawn:' .. s[1], s[2], s[3])
end
for i, id in ipairs(batch.waits) do -- the entry keeps its place in the order; its body has another attempt
  entries[#entries + 1] = id
  entries[#entries + 1] = waits[i] .. batch.bodies[i]
  call('ZADD', P .. 'waiting', now + batch.delays[i], id)
end
for _, a in ipairs(batch.added_waiting) do -- id, name and body, delay ms
  order = order + 1
  entries[#entries + 1] = a[1]
  entries[#entries + 1] = entry_of(order, 0, NEW, a[2])
  call('ZADD', P .. 'waiting', now + a[3], a[1])
end
admitted = admitted + #batch.added_waiting
for i = 3, #seeds do -- a seed is never only in memory: here it becomes an entry
  local raw
  if seeds[2] == 'list' then
    raw = call('LPOP', seeds[1])
  elseif seeds[2] == 'set' then
    raw = call('SPOP', seeds[1])
  else
    raw = call('ZPOPMAX', seeds[1])[1]
  end
  if not raw then
    break
  end
  order = order + 1
  entries[#entries + 1] = seeds[i]
  entries[#entries + 1] = entry_of(order, 0, NEW, batch.seed .. raw)
  put_entry_ready(seeds[i], entries[#entries], true)
  admitted = admitted + 1
end
each('HSET', P .. 'entry', entries)

local spawns, gone = {}, {}
for _, ids in ipairs({batch.done, batch.waits}) do
  for _, id in ipairs(ids) do
    local slot = slot_of(slot_by_id[id])
    slot[LEASED] = slot[LEASED] - 1
    open[slot_by_id[id]] = true
    gone[id] = true
  end
  each('HDEL', L, ids)
  leased = leased - #ids
end
for _, id in ipairs(batch.done) do
  spawns[#spawns + 1] = P .. 'spawn:' .. id
  if id == '0' then
    call('HSET', P .. 'job', 'start_done', 1)
  end
end
each('HDEL', P .. 'entry', batch.done)
for first = 1, #spawns, CHUNK do
  call('UNLINK', unpack(spawns, first, math.min(first + CHUNK - 1, #spawns)))
end
local started = {}
for _, id in ipairs(batch.started) do
  if not gone[id] then
    started[#started + 1] = id
    started[#started + 1] = '1' .. slot_by_id[id]
  end
end
each('HSET', L, started)

for _, key in ipairs(batch.keys) do
  call('SADD', P .. 'had:' .. key[1], key[2])
end
each('HSET', P .. 'feed:' .. W, batch.feeds)
each('HSET', P .. 'kept:' .. W, batch.kept)
for name, change in pairs(batch.ledger) do
  add_to_ledger(name, change)
end
add_to_ledger('admitted', admitted)
if #batch.hosts > 0 then
  call('HINCRBY', P .. 'job', 'hosts', 1)
end
for _, h in ipairs(batch.hosts) do -- slot, record, ms for which nothing is leased
  if h[2] == '' then
    call('HDEL', P .. 'hosts', h[1])
  else
    call('HSET', P .. 'hosts', h[1], h[2])
  end
  slot_of(h[1])[PAUSED] = h[3] > 0 and now + h[3] or 0
  call('ZREM', P .. 'turns', h[1])
  open[h[1]] = true
end
if batch.cold ~= '' then
  call('RPUSH', P .. 'log', batch.cold)
end

-- What is due waits no longer.
local due = call('ZRANGEBYSCORE', P .. 'waiting', '-inf', now, 'LIMIT', 0, CHUNK)
for _, id in ipairs(due) do
  local entry = call('HGET', P .. 'entry', id)
  if entry then
    put_entry_ready(id, entry, is_fifo)
  end
end
each('ZREM', P .. 'waiting', due)
write_ready(now)

-- Leases: slots take turns; each gives what its limits allow.
local picked, taken, served = {}, {}, {}

-- Take up to most requests of a slot, and the turns for them. Return whether more are ready.
local function take(name, slot, most)
  local found = call('ZRANGEBYLEX', P .. 'ready', '[' .. name .. '\0', '(' .. name .. '\1', 'LIMIT', 0, most + 1)
  local turn = math.max(now, slot[TURN])
  for i = 1, math.min(most, #found) do
    taken[#taken + 1] = found[i]
    picked[#picked + 1] = {id_of(found[i], name), name, turn}
    turn = turn + slot[DELAY]
    slot[LEASED] = slot[LEASED] + 1
  end
  if slot[DELAY] > 0 then
    slot[TURN] = turn
  end
  return #found > most
end

-- Ask slots for up to so many requests each. Those that may have more come into served.
local function ask(asked, share)
  for _, name in ipairs(asked) do
    local slot = slot_of(name)
    local most = math.min(share, want - #picked, spare_of(slot))
    if slot[PAUSED] > now then
      most = 0
    elseif slot[DELAY] > 0 then
      most = math.min(most, math.floor((now + horizon - math.max(now, slot[TURN])) / slot[DELAY]) + 1)
    end
    if most <= 0 or take(name, slot, most) then
      served[#served + 1] = name
    end
  end
end

want = math.min(want, CHUNK)
while #picked < want do
  local asked = call('ZRANGEBYSCORE', P .. 'turns', '-inf', now + 1, 'LIMIT', 0, math.min(want - #picked, 100))
  if #asked == 0 then
    -- All have been asked. What is still wanted, they give without a thought of the others.
    each('ZREM', P .. 'ready', taken)
    asked, served, taken = served, {}, {}
    ask(asked, want)
    break
  end
  load_slots(asked)
  call('ZREM', P .. 'turns', unpack(asked))
  ask(asked, math.ceil((want - #picked) / #asked))
end
each('ZREM', P .. 'ready', taken)

local leased_ids, values, held, leases, answer = {}, {}, {}, {}, {}
for i, lease in ipairs(picked) do
  leased_ids[i] = lease[1]
end
if #leased_ids > 0 then
  values = call('HMGET', P .. 'entry', unpack(leased_ids))
end
for i, lease in ipairs(picked) do
  local id, name, turn = lease[1], lease[2], lease[3]
  local past = own[id] and NEW or values[i] and past_of(values[i]) or NEW
  -- What a dead worker has left may have killed it at once: it counts as sent from the beginning.
  held[#held + 1] = id
  held[#held + 1] = (past == LEFT and '1' or '0') .. name
  answer[#answer + 1] = id
  answer[#answer + 1] = turn
  leases[i] = {id, own[id] and '' or values[i], turn - now, past ~= NEW and spawn_of(id) or {}}
end
each('HSET', L, held)

-- Who was asked just now comes after all others. A slot whose limit is reached is asked again when a request ends.
local again = {}
for i, name in ipairs(served) do
  local slot = slots[name]
  if spare_of(slot) > 0 then
    again[#again + 1] = turn_of(slot, now, horizon) + i / (#served + 1)
    again[#again + 1] = name
  end
end
each('ZADD', P .. 'turns', again)
write_slots(now)

add_to_ledger('leased', leased + #picked)
call('HSET', P .. 'job', 'next', order)
call('HSET', P .. 'applied', W, n)
call('HSET', P .. 'answer', W, cmsgpack.pack({dropped, answer}))
call('ZADD', P .. 'alive', now + ttl, W)
return {'ok', dropped, leases, counts(), hosts_since()}
