-- End the session of a worker. What it has leased goes back, and no crash is charged.
-- ARGV: worker, session

if call('HGET', P .. 'worker', ARGV[1]) ~= ARGV[2] then
  return {'fenced'}
end
local count = release(ARGV[1], false, now_ms())
call('HDEL', P .. 'worker', ARGV[1])
call('ZREM', P .. 'alive', ARGV[1])
return {'ok', count, counts()}
