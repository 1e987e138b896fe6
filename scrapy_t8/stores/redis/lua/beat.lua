-- Renew the session of a worker. ARGV: worker, session, ttl ms

if call('HGET', P .. 'worker', ARGV[1]) ~= ARGV[2] then
  return {'fenced'}
end
call('ZADD', P .. 'alive', now_ms() + tonumber(ARGV[3]), ARGV[1])
return {'ok', counts()}
