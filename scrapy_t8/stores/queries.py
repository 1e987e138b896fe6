"""Every SQL statement, by name."""

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
SHRINK_QUEUE = "UPDATE queue SET stored = stored - 1 WHERE id = ?"

NEWEST = "SELECT id, payload, crashes FROM entry WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?"
OLDEST = "SELECT id, payload, crashes FROM entry WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
ALL_ENTRIES = "SELECT id, payload, crashes FROM entry ORDER BY id"
COUNT_ENTRIES = "SELECT count(*) FROM entry"
ADD_ENTRY = "INSERT INTO entry (id, payload) VALUES (?, ?)"
REMOVE_ENTRY = "DELETE FROM entry WHERE id = ?"
CHARGE = "UPDATE entry SET crashes = crashes + 1 WHERE id = ?"
CRASHED = "SELECT id, payload, crashes FROM entry WHERE crashes >= ? ORDER BY id"

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
# A parent may have spawned a million: forgetting is done in slices, as it is only tidying.
FORGET = """
    DELETE FROM spawned WHERE (parent, fingerprint, child) IN
        (SELECT parent, fingerprint, child FROM spawned WHERE parent = ? LIMIT ?)
"""

BURY = "INSERT INTO dead (id, payload, kind, error, buried_at) VALUES (?, ?, ?, ?, ?)"
DEAD = "SELECT id, payload, kind, error, buried_at FROM dead ORDER BY rowid"

GET_FEEDS = "SELECT name, record FROM feed"
PUT_FEED = "INSERT INTO feed (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record"

OF_A_JOB = ("queue", "entry", "seen", "spawned", "feed", "run")
