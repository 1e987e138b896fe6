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
local waits = {} -- of each entry that is to wait, the header
for i, id in ipairs(batch.waits) do
  local entry = call('HGET', P .. 'entry', id)
  if not entry then
    return {'broken', id}
  end
  waits[i] = header_of(entry)
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
for _, a in ipairs(batch.added) do
  if a[7] == 1 and a[6] ~= '' and call('SISMEMBER', P .. 'seen:' .. a[5], a[6]) == 1 then
    conflicts[#conflicts + 1] = {'request', a[1]}
  end
end
if #conflicts > 0 then
  return {'conflict', conflicts}
end

-- From here on nothing may fail.
local ready, leased, waiting = 0, 0, 0
for slot, limits in pairs(batch.limits) do
  call('HSET', P .. 'limits', slot, limits)
  slot_of(slot)
end

local dropped, admitted, own = {}, 0, {}
local order = tonumber(job[3] or 0)
local entries = {}
for _, a in ipairs(batch.added) do -- id, slot, score, body, bucket, fingerprint, is marked, replaces, parent, child key
  local id = a[1]
  if a[6] == '' or call('SADD', P .. 'seen:' .. a[5], a[6]) == 1 then
    order = order + 1
    local header = {a[2], a[3], order, 0, a[8] ~= '' and AGAIN or NEW}
    entries[#entries + 1] = id
    entries[#entries + 1] = cmsgpack.pack(header) .. a[4]
    own[id] = true
    put_ready(id, header, job[2])
    ready = ready + 1
    if a[8] ~= '' then
      if call('EXISTS', P .. 'spawn:' .. a[8]) == 1 then
        call('RENAME', P .. 'spawn:' .. a[8], P .. 'spawn:' .. id)
        own[id] = nil
      end
    else
      admitted = admitted + 1
    end
    if a[9] ~= '' then
      call('HSET', P .. 'spawn:' .. a[9], a[10], id)
    end
  else
    dropped[#dropped + 1] = id
  end
end
for _, s in ipairs(batch.spawned) do -- parent, child key, child
  call('HSET', P .. 'spawn:' .. s[1], s[2], s[3])
end
for i, id in ipairs(batch.waits) do -- the entry keeps its place in the order; its body has another attempt
  local header = waits[i]
  header[5] = AGAIN
  entries[#entries + 1] = id
  entries[#entries + 1] = cmsgpack.pack(header) .. batch.bodies[i]
  call('ZADD', P .. 'waiting', now + batch.delays[i], id)
end
for _, a in ipairs(batch.added_waiting) do -- id, slot, score, body, delay ms
  order = order + 1
  entries[#entries + 1] = a[1]
  entries[#entries + 1] = cmsgpack.pack({a[2], a[3], order, 0, NEW}) .. a[4]
  call('ZADD', P .. 'waiting', now + a[5], a[1])
end
waiting = waiting + #batch.waits + #batch.added_waiting
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
  local header = {batch.seed_slot, 0, order, 0, NEW}
  entries[#entries + 1] = seeds[i]
  entries[#entries + 1] = cmsgpack.pack(header) .. batch.seed_mark .. raw
  put_ready(seeds[i], header, 'fifo')
  ready, admitted = ready + 1, admitted + 1
end
each('HSET', P .. 'entry', entries)

for _, ids in ipairs({batch.done, batch.waits}) do
  for _, id in ipairs(ids) do
    local slot = slot_of(slot_by_id[id])
    slot.leased = slot.leased - 1
  end
  each('HDEL', L, ids)
  leased = leased - #ids
end
each('HDEL', P .. 'entry', batch.done)
for _, id in ipairs(batch.done) do
  call('UNLINK', P .. 'spawn:' .. id)
  if id == '0' then
    call('HSET', P .. 'job', 'start_done', 1)
  end
end
local started = {}
for _, id in ipairs(batch.started) do
  if call('HEXISTS', L, id) == 1 then
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
  if h[3] > 0 then
    call('HSET', P .. 'paused', h[1], now + h[3])
  else
    call('HDEL', P .. 'paused', h[1])
  end
  call('ZREM', P .. 'turns', h[1]) -- the slot is written anew, with its pause
  slot_of(h[1])
end
if batch.cold ~= '' then
  call('RPUSH', P .. 'log', batch.cold)
end

-- What is due waits no longer.
local due = call('ZRANGEBYSCORE', P .. 'waiting', '-inf', now, 'LIMIT', 0, CHUNK)
for _, id in ipairs(due) do
  local entry = call('HGET', P .. 'entry', id)
  if entry then
    put_ready(id, header_of(entry), job[2])
    ready = ready + 1
  end
end
if #due > 0 then
  each('ZREM', P .. 'waiting', due)
  waiting = waiting - #due
end
write_slots(now, horizon)

-- Leases: slots take turns; each gives what its limits allow.
local leases, answer, given, served = {}, {}, 0, 0

-- Lease up to most requests of a slot. Return how many it gave, and the turn that comes next.
local function lease(name, most, turn, delay)
  local popped, ids, held = call('ZPOPMIN', P .. 'ready:' .. name, most), {}, {}
  for i = 1, #popped, 2 do
    ids[#ids + 1] = id_of(popped[i])
  end
  local values = #ids > 0 and call('HMGET', P .. 'entry', unpack(ids)) or {}
  for i, id in ipairs(ids) do
    local past = own[id] and NEW or values[i] and header_of(values[i])[5] or NEW
    -- What a dead worker has left may have killed it at once: it counts as sent from the beginning.
    held[#held + 1] = id
    held[#held + 1] = (past == LEFT and '1' or '0') .. name
    answer[#answer + 1] = id
    answer[#answer + 1] = turn
    leases[#leases + 1] = {id, own[id] and '' or values[i], turn - now, past ~= NEW and spawn_of(id) or {}}
    turn = turn + delay
  end
  each('HSET', L, held)
  return #ids, turn
end

want = math.min(want, CHUNK)
for _ = 1, 16 do
  local turns = given < want and call('ZRANGEBYSCORE', P .. 'turns', '-inf', now + 1, 'LIMIT', 0, 16) or {}
  local share, before = math.ceil((want - given) / #turns), given
  for _, name in ipairs(turns) do
    local limit, delay = limits_of(name)
    local taken = tonumber(call('HGET', P .. 'leased', name) or 0)
    local most = math.min(share, want - given, most_leased(limit) - taken)
    local turn = now
    if delay > 0 then
      turn = math.max(now, tonumber(call('HGET', P .. 'next', name) or 0))
      most = math.min(most, math.floor((now + horizon - turn) / delay) + 1)
    end
    if most > 0 then
      local count
      count, turn = lease(name, most, turn, delay)
      given = given + count
      call('HINCRBY', P .. 'leased', name, count)
      if delay > 0 then
        call('HSET', P .. 'next', name, turn)
      end
    end
    -- Who was asked just now comes after all others.
    served = served + 1
    call('ZREM', P .. 'turns', name)
    refresh(name, now + served / 1000, horizon)
  end
  if given == before then
    break
  end
end
ready, leased = ready - given, leased + given
add_to_ledger('ready', ready)
add_to_ledger('leased', leased)
add_to_ledger('waiting', waiting)
call('HSET', P .. 'job', 'next', order)
call('HSET', P .. 'applied', W, n)
call('HSET', P .. 'answer', W, cmsgpack.pack({dropped, answer}))
call('ZADD', P .. 'alive', now + ttl, W)
return {'ok', dropped, leases, counts(), hosts_since()}
