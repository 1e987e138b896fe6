-- name: RUNS
SELECT id, started, ended, reason, last_commit FROM run ORDER BY id

-- name: SIZES
SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM waiting), (SELECT min(due) FROM waiting)

-- name: READY_BY_SLOT
SELECT ifnull(slot, ''), sum(stored) FROM queue WHERE stored > 0 GROUP BY slot

-- name: WAITING_BY_SLOT
SELECT slot, count(*) FROM waiting GROUP BY slot

-- name: READY_PAYLOADS
SELECT payload FROM entry

-- name: WAITING_PAYLOADS
SELECT payload FROM waiting

-- name: LEASED_ENTRY
SELECT ifnull(slot, ''), payload FROM entry LEFT JOIN queue ON queue.id = entry.id >> {SEQ_BITS} WHERE entry.id = ?

-- name: LEASED_TASKS
SELECT slot, count(*) FROM lease JOIN waiting ON waiting.id = lease.entry WHERE NOT returned GROUP BY slot

-- name: DEAD_BY_HOST_AND_CALLBACK
SELECT host, callback, count(*) FROM dead WHERE job = ? GROUP BY host, callback

-- name: DEAD_BY_FAILURE
SELECT kind, status, count(*) FROM dead WHERE job = ? GROUP BY kind, status

-- name: DEAD_ERRORS
SELECT error, callback, count(*) FROM dead WHERE job = ? AND kind = ? AND status IS ?
GROUP BY error, callback ORDER BY count(*) DESC, error, callback LIMIT ?

-- name: DEAD_EXAMPLES
SELECT url, callback, error FROM dead WHERE job = ? AND kind = ? AND status IS ? ORDER BY id LIMIT ?

-- name: DEAD_TASKS
SELECT task_type, count(*) FROM dead GROUP BY task_type

-- name: POINTS
SELECT name, record FROM point ORDER BY task_type, name

-- name: KEPT
SELECT name, data FROM kept WHERE name = ?

-- name: PAST_JOBS
SELECT id, number, spider, begun, ended, items, good FROM past_job WHERE spider = ? ORDER BY number

-- name: LOSSES
SELECT kind, pipeline, reason, count, key, url FROM loss ORDER BY count DESC, pipeline, reason

-- name: TALLY
SELECT what, name, count FROM tally ORDER BY what, count DESC, name

-- name: TIMELINE
-- Seconds of a row, so that there are about as many rows as the graph has points.
WITH width (seconds) AS (
    SELECT max(10, ((max(began) - min(began)) / :rows / 10 + 1) * 10) FROM timeline
)
SELECT began / seconds * seconds, sum(pages), sum(items), sum(retries)
FROM timeline, width GROUP BY 1 ORDER BY 1

-- name: DEAD_GROUPS
SELECT kind, error, host, callback, count(*), min(buried_at), max(buried_at), min(id)
FROM dead WHERE job IN (:job, '') AND spider = :spider GROUP BY 1, 2, 3, 4
ORDER BY count(*) DESC, kind, error, host, callback LIMIT :limit

-- name: SINCE
-- A row of the timeline carries the time at which it began; the first one of a run may have begun before the run.
SELECT ifnull(sum(pages), 0), ifnull(sum(items), 0) FROM timeline WHERE began > ?

-- name: ALL_WAITING
SELECT id, due, slot, payload, story FROM waiting ORDER BY id

-- name: WAITING
SELECT id, payload, story FROM waiting ORDER BY id

-- name: ONE_WAITING
SELECT due, payload, story FROM waiting WHERE id = ?

-- name: ANNOUNCED
SELECT source, total FROM announced ORDER BY source

-- name: IS_COLLECTED
-- Collected by page, or by key in this job.
(collected OR EXISTS (SELECT 1 FROM item WHERE item.key = expected.key AND item.job >= :number))

-- name: BY_SOURCES
SELECT sources, count(*), sum({IS_COLLECTED}) FROM expected GROUP BY sources

-- name: MISSING
SELECT key, text, sources, open, cause, request, url, healed FROM expected WHERE NOT {IS_COLLECTED}
ORDER BY text, key

-- name: HEALED
SELECT ifnull(sum(healed <> 0), 0), ifnull(sum(healed <> 0 AND {IS_COLLECTED}), 0),
    ifnull(sum(healed = -2 AND NOT {IS_COLLECTED}), 0)
FROM expected

-- name: PAYLOAD
SELECT payload FROM expected WHERE key = ?

-- name: LETTER
SELECT id, kind, error, status, url FROM dead WHERE fingerprint = ? ORDER BY id DESC LIMIT 1

-- recounting ------------------------------------------------------------

-- name: COUNT_DEAD
SELECT count(*) FROM dead WHERE job = ?

-- name: WRONG_QUEUES
SELECT queue.key, queue.stored, (
    SELECT count(*) FROM entry WHERE entry.id BETWEEN queue.id << {SEQ_BITS} AND ((queue.id + 1) << {SEQ_BITS}) - 1
) AS there FROM queue WHERE stored <> there

-- name: HOMELESS
SELECT count(*) FROM entry WHERE (id >> {SEQ_BITS}) NOT IN (SELECT id FROM queue)

-- name: BODILESS
SELECT count(*) FROM dead WHERE id NOT IN (SELECT id FROM dead_body)
