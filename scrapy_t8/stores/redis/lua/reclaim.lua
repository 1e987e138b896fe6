-- End the sessions that were not renewed in time. What they have leased goes back.

local returned, now = {}, now_ms()
for _, worker in ipairs(call('ZRANGEBYSCORE', P .. 'alive', '-inf', now)) do
  call('HDEL', P .. 'worker', worker)
  call('ZREM', P .. 'alive', worker)
  returned[#returned + 1] = {worker, release(worker, true, now)}
end
return {'ok', returned, counts()}
