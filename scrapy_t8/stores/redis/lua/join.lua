-- Begin a session of a worker. What its last session has leased goes back.
-- ARGV: worker, token, place, ttl ms, is the job to be begun, name and value of each field of a new job

local W, token, place, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local begins, server = ARGV[5] == '1', server_run()
local now = now_ms()
local job = P .. 'job'
local server_then = call('HGET', job, 'server')
local alive = tonumber(call('ZSCORE', P .. 'alive', W) or 0)
local place_then = call('HGET', P .. 'place', W)

for _, name in ipairs({'worker', 'place', 'applied', 'answer', 'entry', 'slots', 'ledger', 'hosts'}) do
  local kind = call('TYPE', P .. name).ok
  if kind ~= 'hash' and kind ~= 'none' then
    return {'foreign', P .. name, kind}
  end
end
if not server_then and not begins then
  return {'missing'}
end
if call('HGET', job, 'state') == 'finished' then
  return {'finished', call('HGETALL', job)}
end
if server_then and server_then ~= server then
  return {'restarted'}
end
if alive > now and place_then ~= place then
  return {'busy', place_then or '', alive - now}
end

if not server_then then
  call('HSET', job, 'server', server, 'state', 'running', unpack(ARGV, 6))
  call('HSET', P .. 'entry', '0', entry_of(0, 0, NEW, '\0' .. string.format('%010d', 0)))
  put_entry_ready('0', call('HGET', P .. 'entry', '0'), true)
  write_ready(now)
end
local count = release(W, true, now)
local epoch = call('HINCRBY', job, 'epochs', 1)
call('HSET', P .. 'worker', W, epoch .. ':' .. token)
call('HSET', P .. 'place', W, place)
call('HSET', P .. 'applied', W, 0)
call('HDEL', P .. 'answer', W)
call('ZADD', P .. 'alive', now + ttl, W)
return {'ok', epoch, count, call('HGETALL', job), call('HGETALL', P .. 'feed:' .. W), call('HGETALL', P .. 'kept:' .. W)}
