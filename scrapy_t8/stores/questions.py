"""What the reader asks a state file, by name. Nothing here changes anything."""

JOB = "SELECT record FROM job"
RUNS = "SELECT id, started, ended, reason, last_commit FROM run ORDER BY id"
SIZES = "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM waiting), (SELECT min(due) FROM waiting)"
DEAD_OF_JOB = "SELECT count(*) FROM dead WHERE job = ?"
READY_BY_SLOT = "SELECT ifnull(slot, ''), sum(stored) FROM queue WHERE stored > 0 GROUP BY slot"
WAITING_BY_SLOT = "SELECT slot, count(*) FROM waiting GROUP BY slot"
DEAD_BY_HOST = "SELECT host, count(*) FROM dead WHERE job = ? GROUP BY host"
HOSTS = "SELECT slot, record FROM host"
FEEDS = "SELECT name, record FROM feed ORDER BY name"
POINTS = "SELECT name, record FROM point ORDER BY task_type, name"
KEPT = "SELECT data FROM kept WHERE name = ?"
PAST_JOBS = "SELECT id, number, spider, begun, ended, items, good FROM past_job WHERE spider = ? ORDER BY number"
LOSSES = "SELECT kind, pipeline, reason, count, key, url FROM loss ORDER BY count DESC, pipeline, reason"
TALLY = "SELECT what, name, count FROM tally ORDER BY what, count DESC, name"
# A host that is down has stretches of its own; the graph needs no more rows than it has points.
TIMELINE = """
    WITH width (seconds) AS (
        SELECT max(10, ((max(began) - min(began)) / :rows / 10 + 1) * 10) FROM timeline
    )
    SELECT began / seconds * seconds, sum(pages), sum(items), sum(retries)
    FROM timeline, width GROUP BY 1 ORDER BY 1
"""
DEAD_GROUPS = """
    SELECT kind, error, host, callback, count(*), min(buried_at), max(buried_at), min(id)
    FROM dead WHERE job IN (:job, '') AND spider = :spider GROUP BY 1, 2, 3, 4
    ORDER BY count(*) DESC, kind, error, host, callback LIMIT :limit
"""
WAITING = "SELECT id, payload, story FROM waiting ORDER BY id"
ONE_WAITING = "SELECT due, payload, story FROM waiting WHERE id = ?"

ANNOUNCED = "SELECT source, total FROM announced ORDER BY source"
# Had by page, or by key in this job.
IS_COLLECTED = "(collected OR EXISTS (SELECT 1 FROM item WHERE item.key = expected.key AND item.job >= :number))"
BY_SOURCES = f"SELECT sources, count(*), sum({IS_COLLECTED}) FROM expected GROUP BY sources"
MISSING = f"""
    SELECT key, text, sources, open, cause, request, url, healed FROM expected WHERE NOT {IS_COLLECTED}
    ORDER BY text, key
"""
HEALED = f"""
    SELECT ifnull(sum(healed <> 0), 0), ifnull(sum(healed <> 0 AND {IS_COLLECTED}), 0),
        ifnull(sum(healed = -2 AND NOT {IS_COLLECTED}), 0)
    FROM expected
"""
PAYLOAD = "SELECT payload FROM expected WHERE key = ?"
LETTER = "SELECT id, kind, error, status, url FROM dead WHERE fingerprint = ? ORDER BY id DESC LIMIT 1"
