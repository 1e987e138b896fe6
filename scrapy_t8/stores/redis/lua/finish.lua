-- Bring the job to its end, in two calls: the first marks it as ending, the second, when that is on the disk, as
-- finished. ARGV: worker, session, is confirmed

if call('HGET', P .. 'worker', ARGV[1]) ~= ARGV[2] then
  return {'fenced'}
end
local state = call('HGET', P .. 'job', 'state')
if state == 'finished' then
  return {'finished'}
end
local now = counts()
if now[1] + now[2] + now[3] > 0 or now[4] == 0 then
  if state == 'ending' then
    call('HSET', P .. 'job', 'state', 'running')
  end
  return {'open', now}
end
if ARGV[3] == '1' and state == 'ending' then
  call('HSET', P .. 'job', 'state', 'finished', 'finished_by', ARGV[1])
  return {'won'}
end
call('HSET', P .. 'job', 'state', 'ending')
return {'ending'}
