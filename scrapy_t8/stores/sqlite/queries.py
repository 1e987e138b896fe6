"""Every SQL statement of the store of a crawl, by name."""

GET_JOB = "SELECT record FROM job"
PUT_JOB = "INSERT INTO job (one, record) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET record = excluded.record"

LAST_RUN = "SELECT id, started, ended, reason, last_commit FROM run ORDER BY id DESC LIMIT 1"
OPEN_RUN = "INSERT INTO run (started, last_commit) VALUES (?, ?)"
TOUCH_RUN = "UPDATE run SET last_commit = ? WHERE id = ?"
END_RUN = "UPDATE run SET ended = ?, reason = ? WHERE id = ?"

GET_QUEUES = "SELECT id, key, slot, stored FROM queue WHERE stored > 0 ORDER BY id"
LAST_QUEUE = "SELECT max(id) FROM queue"
PUT_QUEUE = """
    INSERT INTO queue (id, key, slot, stored) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET stored = excluded.stored
"""
DROP_EMPTY_QUEUES = "DELETE FROM queue WHERE stored <= 0"

NEWEST = "SELECT id, payload, crashes, story FROM entry WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?"
OLDEST = "SELECT id, payload, crashes, story FROM entry WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
PAYLOAD = "SELECT payload FROM entry WHERE id = ?"
COUNT_ENTRIES = "SELECT count(*) FROM entry"
ADD_ENTRY = "INSERT INTO entry (id, payload, story) VALUES (?, ?, ?)"
REMOVE_ENTRY = "DELETE FROM entry WHERE id = ?"
CHARGE = "UPDATE entry SET crashes = crashes + 1 WHERE id = ?"
CRASHED = "SELECT id, payload, crashes, story FROM entry WHERE crashes >= ? ORDER BY id"

IS_SEEN = "SELECT 1 FROM seen WHERE fingerprint = ?"
SOME_SEEN = "SELECT fingerprint FROM seen LIMIT ?"
ADD_SEEN = "INSERT OR IGNORE INTO seen (fingerprint) VALUES (?)"

SPAWNED = "SELECT child FROM spawned WHERE parent = ? AND fingerprint = ? AND attempt < ? ORDER BY child"
PARENTS = "SELECT DISTINCT parent FROM spawned"
ADD_SPAWNED = """
    INSERT INTO spawned (parent, fingerprint, child, attempt) VALUES (?, ?, ?, ?)
    ON CONFLICT (parent, fingerprint, child) DO UPDATE SET attempt = excluded.attempt
"""
INHERIT = "UPDATE spawned SET parent = ? WHERE parent = ?"
# A parent may have a million children, which are deleted in slices: nothing depends on it.
FORGET = """
    DELETE FROM spawned WHERE (parent, fingerprint, child) IN
        (SELECT parent, fingerprint, child FROM spawned WHERE parent = ? LIMIT ?)
"""

COUNT_WAITING = "SELECT count(*) FROM waiting WHERE due <= ?"
WAIT = "INSERT INTO waiting (id, due, slot, payload, story) VALUES (?, ?, ?, ?, ?)"
REACTIVATE = "DELETE FROM waiting WHERE id = ?"
DUE = "SELECT id, due, slot, payload, story FROM waiting WHERE due <= ? ORDER BY due, id LIMIT ?"
NEXT_DUE = "SELECT min(due) FROM waiting WHERE due > ?"

GET_HOSTS = "SELECT slot, record FROM host"
PUT_HOST = "INSERT INTO host (slot, record) VALUES (?, ?) ON CONFLICT (slot) DO UPDATE SET record = excluded.record"
DROP_HOST = "DELETE FROM host WHERE slot = ?"

GET_FEEDS = "SELECT name, record FROM feed"
PUT_FEED = "INSERT INTO feed (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record"

POINTS = "SELECT task_type, name, updated, record, track FROM point ORDER BY task_type, name"
POINT_HISTORY = "SELECT task_type, name, updated, record FROM point_history WHERE task_type = ? ORDER BY id DESC"
PUT_POINT = """
    INSERT INTO point (task_type, name, updated, record, track) VALUES (?, ?, ?, ?, ?) ON CONFLICT (task_type, name)
    DO UPDATE SET updated = excluded.updated, record = excluded.record, track = excluded.track
"""
DROP_POINT = "DELETE FROM point WHERE task_type = ? AND name = ?"
DROP_POINTS = "DELETE FROM point"
ADD_HISTORY = "INSERT INTO point_history (task_type, name, updated, record) VALUES (?, ?, ?, ?)"
PRUNE_OLD_HISTORY = "DELETE FROM point_history WHERE updated < ?"
PRUNE_HISTORY = "DELETE FROM point_history WHERE id <= (SELECT max(id) FROM point_history) - ?"

# An item that was announced twice has two sources, one in a line.
EXPECT = """
    INSERT INTO expected (key, text, sources, open) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
        sources = CASE
            WHEN excluded.sources = ''
                OR instr(char(10) || sources || char(10), char(10) || excluded.sources || char(10)) THEN sources
            WHEN sources = '' THEN excluded.sources ELSE sources || char(10) || excluded.sources END,
        open = open + excluded.open
"""
# Without a new cause, the old one stays.
UPDATE_EXPECTED = """
    UPDATE expected SET open = open + ?1, collected = max(collected, ?2), cause = ifnull(?3, cause),
        request = CASE WHEN ?3 IS NULL THEN request ELSE ?4 END, url = ifnull(?5, url), payload = ifnull(?6, payload)
    WHERE key = ?7
"""
MARK_COLLECTED = "UPDATE expected SET open = open - 1, collected = 1 WHERE key = ?"
ANNOUNCE = """
    INSERT INTO announced (source, total) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET total = excluded.total
"""
# When a letter leaves the box, the fingerprint of its request leads to the items that the request was to bring.
CHOSEN_REQUESTS = "SELECT fingerprint FROM dead JOIN chosen ON dead.id = letter WHERE fingerprint IS NOT NULL"
CLEAR_CAUSE = f"UPDATE expected SET cause = NULL WHERE request IN ({CHOSEN_REQUESTS})"
# The request is kept: heal may make it again.
MARK_DISCARDED = f"""
    UPDATE expected SET cause = 'discarded', open = 0, payload = ifnull(payload, (
        SELECT nullif(dead_body.payload, x'') FROM dead JOIN dead_body USING (id) WHERE fingerprint = request LIMIT 1
    )) WHERE request IN ({CHOSEN_REQUESTS})
"""
SET_REFETCH_STATUS = "UPDATE expected SET healed = ? WHERE key = ?"
ADD_OPEN_REQUEST = "UPDATE expected SET open = open + 1, cause = NULL WHERE key = ?"
ITEMS_TO_REQUEST = "SELECT key, text FROM expected WHERE healed = -1 ORDER BY text"
EXPECT_LAST = """
    INSERT INTO expected (key, text, sources) SELECT key, text, :source FROM item WHERE text IS NOT NULL
        AND job IN (SELECT number FROM past_job WHERE number >= :good AND spider = :spider)
"""
LAST_GOOD = "SELECT max(number) FROM past_job WHERE good AND spider = ?"

ADD_PAST_JOB = """
    INSERT OR REPLACE INTO past_job (id, number, spider, begun, ended, items, good) VALUES (?, ?, ?, ?, ?, ?, ?)
"""

ITEM = "SELECT job, run, digest FROM item WHERE key = ?"
SOME_ITEMS = "SELECT key, job, run, digest FROM item LIMIT ?"
DROP_ITEMS = "DELETE FROM item"
UPSERT_ITEM = """
    INSERT INTO item (key, job, run, text, digest) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key)
    DO UPDATE SET job = excluded.job, run = excluded.run, digest = excluded.digest
"""
TOUCH_ITEM = "UPDATE item SET job = ? WHERE key = ?"
SUPERSEDE = "INSERT OR IGNORE INTO superseded (position) VALUES (?)"
SUPERSEDED = "SELECT position FROM superseded ORDER BY position"
ADD_LOSS = """
    INSERT INTO loss (kind, pipeline, reason, count, key, url) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (kind, pipeline, reason) DO UPDATE SET count = count + excluded.count,
        url = CASE WHEN ifnull(excluded.key, '') < ifnull(key, '') THEN excluded.url ELSE url END,
        key = min(ifnull(key, excluded.key), ifnull(excluded.key, key))
"""
ADD_TALLY = """
    INSERT INTO tally (what, name, count) VALUES (?, ?, ?)
    ON CONFLICT (what, name) DO UPDATE SET count = count + excluded.count
"""
ADD_TIMELINE = """
    INSERT INTO timeline (began, pages, items, retries) VALUES (?, ?, ?, ?) ON CONFLICT (began)
    DO UPDATE SET pages = pages + excluded.pages, items = items + excluded.items, retries = retries + excluded.retries
"""

GET_KEPT = "SELECT name, data FROM kept WHERE substr(name, 1, length(:prefix)) = :prefix"
PUT_KEPT = "INSERT INTO kept (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data"

# -- the dead-letter box; {where} is a condition of dead_letters.py --------------------------------------------------

HEAD = (
    *("entry", "job", "spider", "kind", "error", "url", "host", "callback", "status", "fingerprint", "code"),
    *("task_type", "target", "buried_at"),
)
NEXT_LETTER = "SELECT ifnull(max(id), 0) + 1 FROM dead"
BURY = f"INSERT INTO dead (id, {', '.join(HEAD)}) VALUES (?{', ?' * len(HEAD)})"
BURY_BODY = "INSERT INTO dead_body (id, payload, story, detail) VALUES (?, ?, ?, ?)"

# Columns as the fields of DeadLetter.
LETTERS = """
    SELECT entry, x'', kind, error, buried_at, url, host, callback, status, fingerprint, job, spider, code, task_type,
        target, NULL, NULL, id
    FROM dead WHERE id > :after AND {where} ORDER BY id LIMIT :limit
"""
WHOLE_LETTERS = """
    SELECT entry, ifnull(payload, x''), kind, error, buried_at, url, host, callback, status, fingerprint, job, spider,
        code, task_type, target, story, detail, id
    FROM dead LEFT JOIN dead_body USING (id) WHERE {where} ORDER BY id
"""
COUNT_LETTERS = "SELECT count(*) FROM dead WHERE {where}"
GROUPS = """
    SELECT kind, error, host, callback, count(*), min(buried_at), max(buried_at), max(id)
    FROM dead WHERE {where} GROUP BY kind, error, host, callback ORDER BY count(*) DESC, max(id) DESC
"""
DEAD_FINGERPRINTS = "SELECT DISTINCT fingerprint FROM dead WHERE fingerprint IS NOT NULL AND {where}"

# letter: its number. id: the id of the entry that it becomes. mine: whether it belongs to the running job.
CHOSEN = """
    CREATE TEMP TABLE IF NOT EXISTS chosen
        (id INTEGER PRIMARY KEY, letter INTEGER NOT NULL, entry INTEGER NOT NULL, mine INTEGER NOT NULL)
"""
CHOOSE = "INSERT INTO chosen (id, letter, entry, mine) SELECT id, id, entry, job = :job_id FROM dead WHERE {where}"
CHOOSE_OLDEST = """
    INSERT INTO chosen (id, letter, entry, mine) SELECT id, id, entry, job = :job_id FROM dead
    WHERE id NOT IN (SELECT letter FROM chosen) AND {where} ORDER BY buried_at DESC, id DESC LIMIT -1 OFFSET :limit
"""
CHOOSE_RESOLVED = """
    INSERT INTO chosen (id, letter, entry, mine) SELECT id, id, entry, job = :job_id FROM dead
    WHERE fingerprint IN (SELECT value FROM json_each(:fingerprints))
"""
# A letter of the job gets its old id back, under which its children are stored, if that id is free. Others get new ids.
CHOOSE_OLD_IDS = """
    INSERT OR IGNORE INTO chosen (id, letter, entry, mine) SELECT entry, id, entry, 1 FROM dead
    WHERE job = :job_id AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.id = dead.entry)
        AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.id = dead.entry) AND {where} ORDER BY id
"""
CHOOSE_NEW_IDS = """
    INSERT INTO chosen (id, letter, entry, mine)
    SELECT :next_seq - 1 + row_number() OVER (ORDER BY id), id, entry, job = :job_id FROM dead
    WHERE id NOT IN (SELECT letter FROM chosen) AND {where}
"""
COUNT_CHOSEN = "SELECT ifnull(sum(mine), 0), ifnull(sum(NOT mine), 0) FROM chosen"
CHOSEN_KINDS = "SELECT kind, count(*) FROM chosen JOIN dead ON dead.id = letter GROUP BY kind ORDER BY count(*) DESC"
CHOSEN_FAILURES = "SELECT kind, status, count(*) FROM chosen JOIN dead ON dead.id = letter WHERE mine GROUP BY 1, 2"
NOTHING_CHOSEN = "DELETE FROM chosen"

# The attempts are deleted. What another job has delivered is not in the feeds of this job.
# Sorted by id, so that each page of the table is written once.
REVIVE = """
    INSERT INTO waiting (id, due, slot, payload, story)
    SELECT chosen.id, :now, host, payload, CASE
        WHEN story IS NULL THEN json_object(
            'attempts', json('[]'), 'counts', json('{}'), 'delivered', json('[]'),
            'task_type', task_type, 'target', target, 'max_retries', 0)
        WHEN mine THEN json_set(story, '$.attempts', json('[]'), '$.counts', json('{}'), '$.max_retries', 0)
        ELSE json_set(story, '$.attempts', json('[]'), '$.counts', json('{}'), '$.max_retries', 0,
            '$.delivered', json('[]')) END
    FROM chosen CROSS JOIN dead ON dead.id = letter CROSS JOIN dead_body ON dead_body.id = letter
    WHERE length(payload) > 0 ORDER BY chosen.id
"""
LEAVE_UNREVIVED = "DELETE FROM chosen WHERE NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.id = chosen.id)"
ALL_ARE_CHOSEN = "SELECT (SELECT count(*) FROM chosen) = (SELECT count(*) FROM dead)"
# Sorted by id, so that each page of the table is written once.
REMOVE_CHOSEN = (
    "DELETE FROM dead_body WHERE id IN (SELECT letter FROM chosen ORDER BY letter)",
    "DELETE FROM dead WHERE id IN (SELECT letter FROM chosen ORDER BY letter)",
)
# Without a condition SQLite frees whole pages.
REMOVE_ALL = ("DELETE FROM dead_body", "DELETE FROM dead")
# An entry that is in the frontier as well, or has a second letter, still needs its children.
FORGET_CHOSEN = """
    DELETE FROM spawned WHERE parent IN (SELECT entry FROM chosen WHERE mine AND entry)
        AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.id = parent)
        AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.id = parent)
        AND parent NOT IN (SELECT entry FROM dead WHERE job = :job_id AND id NOT IN (SELECT letter FROM chosen))
"""

OF_A_JOB = (
    *("queue", "entry", "waiting", "seen", "spawned", "feed", "run", "kept", "expected", "announced", "loss"),
    *("superseded", "tally", "timeline", "lease", "task_name"),
)
"""Tables that a new job empties."""
