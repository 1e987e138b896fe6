-- Record that the server has restarted, and that its append-only file was written anew.

call('HSET', P .. 'job', 'server', server_run())
return {'ok'}
