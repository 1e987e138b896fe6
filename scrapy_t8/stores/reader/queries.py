"""Queries of the reader. None of them changes anything."""

from scrapy_t8.model.entry import SEQ_BITS

JOB = "SELECT record FROM job"
RUNS = "SELECT id, started, ended, reason, last_commit FROM run ORDER BY id"
SIZES = "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM waiting), (SELECT min(due) FROM waiting)"
READY_BY_SLOT = "SELECT ifnull(slot, ''), sum(stored) FROM queue WHERE stored > 0 GROUP BY slot"
WAITING_BY_SLOT = "SELECT slot, count(*) FROM waiting GROUP BY slot"
READY_PAYLOADS = "SELECT payload FROM entry"
WAITING_PAYLOADS = "SELECT payload FROM waiting"
LEASED_ENTRY = f"""
    SELECT ifnull(slot, ''), payload FROM entry LEFT JOIN queue ON queue.id = entry.id >> {SEQ_BITS} WHERE entry.id = ?
"""
LEASED_TASKS = """
    SELECT slot, count(*) FROM lease JOIN waiting ON waiting.id = lease.entry WHERE NOT returned GROUP BY slot
"""
DEAD_BY_HOST_AND_CALLBACK = "SELECT host, callback, count(*) FROM dead WHERE job = ? GROUP BY host, callback"
DEAD_BY_FAILURE = "SELECT kind, status, count(*) FROM dead WHERE job = ? GROUP BY kind, status"
DEAD_ERRORS = """
    SELECT error, callback, count(*) FROM dead WHERE job = ? AND kind = ? AND status IS ?
    GROUP BY error, callback ORDER BY count(*) DESC, error, callback LIMIT ?
"""
DEAD_EXAMPLES = """
    SELECT url, callback, error FROM dead WHERE job = ? AND kind = ? AND status IS ? ORDER BY id LIMIT ?
"""
DEAD_TASKS = "SELECT task_type, count(*) FROM dead GROUP BY task_type"
HOSTS = "SELECT slot, record FROM host"
FEEDS = "SELECT name, record FROM feed ORDER BY name"
POINTS = "SELECT name, record FROM point ORDER BY task_type, name"
KEPT = "SELECT data FROM kept WHERE name = ?"
KEPT_AS = "SELECT name, data FROM kept WHERE substr(name, 1, length(:prefix)) = :prefix"
PAST_JOBS = "SELECT id, number, spider, begun, ended, items, good FROM past_job WHERE spider = ? ORDER BY number"
LOSSES = "SELECT kind, pipeline, reason, count, key, url FROM loss ORDER BY count DESC, pipeline, reason"
TALLY = "SELECT what, name, count FROM tally ORDER BY what, count DESC, name"
# Seconds of a row, so that there are about as many rows as the graph has points.
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
# A row of the timeline carries the time at which it began; the first one of a run may have begun before the run.
SINCE = "SELECT ifnull(sum(pages), 0), ifnull(sum(items), 0) FROM timeline WHERE began > ?"
ALL_WAITING = "SELECT id, due, slot, payload, story FROM waiting ORDER BY id"
WAITING = "SELECT id, payload, story FROM waiting ORDER BY id"
ONE_WAITING = "SELECT due, payload, story FROM waiting WHERE id = ?"

ANNOUNCED = "SELECT source, total FROM announced ORDER BY source"
# Collected by page, or by key in this job.
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

# -- recounting ---------------------------------------------------------------------------------------------------

QUICK_CHECK = "PRAGMA quick_check(1)"
COUNT_DEAD = "SELECT count(*) FROM dead WHERE job = ?"
WRONG_QUEUES = f"""
    SELECT queue.key, queue.stored, (
        SELECT count(*) FROM entry WHERE entry.id BETWEEN queue.id << {SEQ_BITS} AND ((queue.id + 1) << {SEQ_BITS}) - 1
    ) AS there FROM queue WHERE stored <> there
"""
HOMELESS = f"SELECT count(*) FROM entry WHERE (id >> {SEQ_BITS}) NOT IN (SELECT id FROM queue)"
BODILESS = "SELECT count(*) FROM dead WHERE id NOT IN (SELECT id FROM dead_body)"
