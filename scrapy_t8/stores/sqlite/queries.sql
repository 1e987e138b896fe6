-- name: GET_JOB
SELECT record FROM job

-- name: PUT_JOB
INSERT INTO job (one, record) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET record = excluded.record

-- name: LAST_RUN
SELECT id, started, ended, reason, last_commit FROM run ORDER BY id DESC LIMIT 1

-- name: OPEN_RUN
INSERT INTO run (started, last_commit) VALUES (?, ?)

-- name: TOUCH_RUN
UPDATE run SET last_commit = ? WHERE id = ?

-- name: END_RUN
UPDATE run SET ended = ?, reason = ? WHERE id = ?

-- name: GET_QUEUES
SELECT id, key, slot, stored FROM queue WHERE stored > 0 ORDER BY id

-- name: LAST_QUEUE
SELECT max(id) FROM queue

-- name: PUT_QUEUE
INSERT INTO queue (id, key, slot, stored) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET stored = excluded.stored

-- name: DROP_EMPTY_QUEUES
DELETE FROM queue WHERE stored <= 0

-- name: NEWEST
SELECT id, payload, crashes, story FROM entry WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?

-- name: OLDEST
SELECT id, payload, crashes, story FROM entry WHERE id > ? AND id <= ? ORDER BY id LIMIT ?

-- name: PAYLOAD
SELECT payload FROM entry WHERE id = ?

-- name: COUNT_ENTRIES
SELECT count(*) FROM entry

-- name: ADD_ENTRY
INSERT INTO entry (id, payload, story) VALUES (?, ?, ?)

-- name: REMOVE_ENTRY
DELETE FROM entry WHERE id = ?

-- name: CHARGE
UPDATE entry SET crashes = crashes + 1 WHERE id = ?

-- name: CRASHED
SELECT id, payload, crashes, story FROM entry WHERE crashes >= ? ORDER BY id

-- name: IS_SEEN
SELECT 1 FROM seen WHERE fingerprint = ?

-- name: SOME_SEEN
SELECT fingerprint FROM seen LIMIT ?

-- name: ADD_SEEN
INSERT OR IGNORE INTO seen (fingerprint) VALUES (?)

-- name: SPAWNED
SELECT fingerprint, child FROM spawned WHERE parent = ? AND fingerprint BETWEEN ? AND ? AND attempt < ? ORDER BY child

-- name: PARENTS
SELECT DISTINCT parent FROM spawned

-- name: ADD_SPAWNED
INSERT INTO spawned (parent, fingerprint, child, attempt) VALUES (?, ?, ?, ?)
ON CONFLICT (parent, fingerprint, child) DO UPDATE SET attempt = excluded.attempt

-- name: INHERIT
UPDATE spawned SET parent = ? WHERE parent = ?

-- name: FORGET
-- A parent may have a million children, which are deleted in slices: nothing depends on it.
DELETE FROM spawned WHERE (parent, fingerprint, child) IN
    (SELECT parent, fingerprint, child FROM spawned WHERE parent = ? LIMIT ?)

-- name: COUNT_WAITING
SELECT count(*) FROM waiting WHERE due <= ?

-- name: WAIT
INSERT INTO waiting (id, due, slot, payload, story) VALUES (?, ?, ?, ?, ?)

-- name: REACTIVATE
DELETE FROM waiting WHERE id = ?

-- name: DUE
SELECT id, due, slot, payload, story FROM waiting WHERE due <= ? ORDER BY due, id LIMIT ?

-- name: NEXT_DUE
SELECT min(due) FROM waiting WHERE due > ?

-- name: GET_HOSTS
SELECT slot, record FROM host

-- name: PUT_HOST
INSERT INTO host (slot, record) VALUES (?, ?) ON CONFLICT (slot) DO UPDATE SET record = excluded.record

-- name: DROP_HOST
DELETE FROM host WHERE slot = ?

-- name: GET_FEEDS
SELECT name, record FROM feed ORDER BY name

-- name: PUT_FEED
INSERT INTO feed (name, record) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record

-- name: POINTS
SELECT task_type, name, updated, record, track FROM point ORDER BY task_type, name

-- name: POINT_HISTORY
SELECT task_type, name, updated, record FROM point_history WHERE task_type = ? ORDER BY id DESC

-- name: PUT_POINT
INSERT INTO point (task_type, name, updated, record, track) VALUES (?, ?, ?, ?, ?) ON CONFLICT (task_type, name)
DO UPDATE SET updated = excluded.updated, record = excluded.record, track = excluded.track

-- name: DROP_POINT
DELETE FROM point WHERE task_type = ? AND name = ?

-- name: DROP_POINTS
DELETE FROM point

-- name: ADD_HISTORY
INSERT INTO point_history (task_type, name, updated, record) VALUES (?, ?, ?, ?)

-- name: PRUNE_OLD_HISTORY
DELETE FROM point_history WHERE updated < ?

-- name: PRUNE_HISTORY
DELETE FROM point_history WHERE id <= (SELECT max(id) FROM point_history) - ?

-- name: EXPECT
-- An item that was announced twice has two sources, one in a line.
INSERT INTO expected (key, text, sources, open) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    sources = CASE
        WHEN excluded.sources = ''
            OR instr(char(10) || sources || char(10), char(10) || excluded.sources || char(10)) THEN sources
        WHEN sources = '' THEN excluded.sources ELSE sources || char(10) || excluded.sources END,
    open = open + excluded.open

-- name: UPDATE_EXPECTED
-- Without a new cause, the old one stays.
UPDATE expected SET open = open + ?1, collected = max(collected, ?2), cause = ifnull(?3, cause),
    request = CASE WHEN ?3 IS NULL THEN request ELSE ?4 END, url = ifnull(?5, url), payload = ifnull(?6, payload)
WHERE key = ?7

-- name: MARK_COLLECTED
UPDATE expected SET open = open - 1, collected = 1 WHERE key = ?

-- name: ANNOUNCE
INSERT INTO announced (source, total) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET total = excluded.total

-- name: CHOSEN_REQUESTS
-- When a letter leaves the box, the fingerprint of its request leads to the items that the request was to bring.
SELECT fingerprint FROM dead JOIN chosen ON dead.id = letter WHERE fingerprint IS NOT NULL

-- name: CLEAR_CAUSE
UPDATE expected SET cause = NULL WHERE request IN ({CHOSEN_REQUESTS})

-- name: MARK_DISCARDED
-- The request is kept: heal may make it again.
UPDATE expected SET cause = 'discarded', open = 0, payload = ifnull(payload, (
    SELECT nullif(dead_body.payload, x'') FROM dead JOIN dead_body USING (id) WHERE fingerprint = request LIMIT 1
)) WHERE request IN ({CHOSEN_REQUESTS})

-- name: SET_REFETCH_STATUS
UPDATE expected SET healed = ? WHERE key = ?

-- name: ADD_OPEN_REQUEST
UPDATE expected SET open = open + 1, cause = NULL WHERE key = ?

-- name: ITEMS_TO_REQUEST
SELECT key, text FROM expected WHERE healed = -1 ORDER BY text

-- name: EXPECT_LAST
INSERT INTO expected (key, text, sources) SELECT key, text, :source FROM item WHERE text IS NOT NULL
    AND job IN (SELECT number FROM past_job WHERE number >= :good AND spider = :spider)

-- name: LAST_GOOD
SELECT max(number) FROM past_job WHERE good AND spider = ?

-- name: ADD_PAST_JOB
INSERT OR REPLACE INTO past_job (id, number, spider, begun, ended, items, good) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: ITEM
SELECT job, run, digest FROM item WHERE key = ?

-- name: SOME_ITEMS
SELECT key, job, run, digest FROM item LIMIT ?

-- name: DROP_ITEMS
DELETE FROM item

-- name: UPSERT_ITEM
INSERT INTO item (key, job, run, text, digest) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key)
DO UPDATE SET job = excluded.job, run = excluded.run, digest = excluded.digest

-- name: TOUCH_ITEM
UPDATE item SET job = ? WHERE key = ?

-- name: SUPERSEDE
INSERT OR IGNORE INTO superseded (position) VALUES (?)

-- name: SUPERSEDED
SELECT position FROM superseded ORDER BY position

-- name: ADD_LOSS
INSERT INTO loss (kind, pipeline, reason, count, key, url) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, pipeline, reason) DO UPDATE SET count = count + excluded.count,
    url = CASE WHEN ifnull(excluded.key, '') < ifnull(key, '') THEN excluded.url ELSE url END,
    key = min(ifnull(key, excluded.key), ifnull(excluded.key, key))

-- name: ADD_TALLY
INSERT INTO tally (what, name, count) VALUES (?, ?, ?)
ON CONFLICT (what, name) DO UPDATE SET count = count + excluded.count

-- name: TAKE_BACK_BURIED
-- A request that is revived has not been given up.
UPDATE tally SET count = max(0, count - ?) WHERE what = 'outcomes' AND name = 'buried'

-- name: TAKE_BACK_NOT_RETRIED
UPDATE tally SET count = max(0, count - (
    SELECT count(*) FROM chosen CROSS JOIN dead_body ON dead_body.id = letter
    WHERE mine AND json_array_length(story, '$.attempts') = 1
)) WHERE what = 'outcomes' AND name = 'not_retried'

-- name: ADD_TIMELINE
INSERT INTO timeline (began, pages, items, retries) VALUES (?, ?, ?, ?) ON CONFLICT (began)
DO UPDATE SET pages = pages + excluded.pages, items = items + excluded.items, retries = retries + excluded.retries

-- name: GET_KEPT
SELECT name, data FROM kept WHERE substr(name, 1, length(:prefix)) = :prefix

-- name: PUT_KEPT
INSERT INTO kept (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data

-- name: NEXT_LETTER
SELECT ifnull(max(id), 0) + 1 FROM dead

-- name: BURY
INSERT INTO dead (id, entry, job, spider, kind, error, url, host, callback, status, fingerprint, code, task_type, target,
    buried_at)
VALUES (:id, :entry, :job, :spider, :kind, :error, :url, :host, :callback, :status, :fingerprint, :code, :task_type,
    :target, :buried_at)

-- name: BURY_BODY
INSERT INTO dead_body (id, payload, story, detail) VALUES (:id, :payload, :story, :detail)

-- name: LETTERS
-- Columns as the fields of DeadLetter.
SELECT entry, x'', kind, error, buried_at, url, host, callback, status, fingerprint, job, spider, code, task_type,
    target, NULL, NULL, id
FROM dead WHERE id > :after AND {where} ORDER BY id LIMIT :limit

-- name: WHOLE_LETTERS
SELECT entry, ifnull(payload, x''), kind, error, buried_at, url, host, callback, status, fingerprint, job, spider,
    code, task_type, target, story, detail, id
FROM dead LEFT JOIN dead_body USING (id) WHERE {where} ORDER BY id

-- name: COUNT_LETTERS
SELECT count(*) FROM dead WHERE {where}

-- name: GROUPS
SELECT kind, error, host, callback, count(*), min(buried_at), max(buried_at), max(id)
FROM dead WHERE {where} GROUP BY kind, error, host, callback ORDER BY count(*) DESC, max(id) DESC

-- name: DEAD_FINGERPRINTS
SELECT DISTINCT fingerprint FROM dead WHERE fingerprint IS NOT NULL AND {where}

-- name: CHOSEN
-- letter: its number. id: the id of the entry that it becomes. mine: whether it belongs to the running job.
CREATE TEMP TABLE IF NOT EXISTS chosen
    (id INTEGER PRIMARY KEY, letter INTEGER NOT NULL, entry INTEGER NOT NULL, mine INTEGER NOT NULL)

-- name: CHOOSE
INSERT INTO chosen (id, letter, entry, mine) SELECT id, id, entry, job = :job_id FROM dead WHERE {where}

-- name: CHOOSE_OLDEST
INSERT INTO chosen (id, letter, entry, mine) SELECT id, id, entry, job = :job_id FROM dead
WHERE id NOT IN (SELECT letter FROM chosen) AND (:keep = '' OR job <> :keep) AND {where}
ORDER BY buried_at DESC, id DESC LIMIT -1 OFFSET max(0, :limit - (SELECT count(*) FROM dead WHERE job = :keep AND :keep <> ''))

-- name: CHOOSE_RESOLVED
INSERT INTO chosen (id, letter, entry, mine) SELECT id, id, entry, job = :job_id FROM dead
WHERE fingerprint IN (SELECT value FROM json_each(:fingerprints))

-- name: CHOOSE_OLD_IDS
-- A letter of the job gets its old id back, under which its children are stored, if that id is free. Others get new ids.
INSERT OR IGNORE INTO chosen (id, letter, entry, mine) SELECT entry, id, entry, 1 FROM dead
WHERE job = :job_id AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.id = dead.entry)
    AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.id = dead.entry) AND {where} ORDER BY id

-- name: CHOOSE_NEW_IDS
INSERT INTO chosen (id, letter, entry, mine)
SELECT :next_seq - 1 + row_number() OVER (ORDER BY id), id, entry, job = :job_id FROM dead
WHERE id NOT IN (SELECT letter FROM chosen) AND {where}

-- name: COUNT_CHOSEN
SELECT ifnull(sum(mine), 0), ifnull(sum(NOT mine), 0) FROM chosen

-- name: CHOSEN_KINDS
SELECT kind, count(*) FROM chosen JOIN dead ON dead.id = letter GROUP BY kind ORDER BY count(*) DESC

-- name: CHOSEN_FAILURES
SELECT kind, status, count(*) FROM chosen JOIN dead ON dead.id = letter WHERE mine GROUP BY 1, 2

-- name: NOTHING_CHOSEN
DELETE FROM chosen

-- name: REVIVE
-- The attempts are deleted. What another job has delivered is not in the feeds of this job.
-- Sorted by id, so that each page of the table is written once.
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

-- name: LEAVE_UNREVIVED
DELETE FROM chosen WHERE NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.id = chosen.id)

-- name: ALL_ARE_CHOSEN
SELECT (SELECT count(*) FROM chosen) = (SELECT count(*) FROM dead)

-- name: REMOVE_CHOSEN_BODIES
-- Sorted by id, so that each page of the table is written once.
DELETE FROM dead_body WHERE id IN (SELECT letter FROM chosen ORDER BY letter)

-- name: REMOVE_CHOSEN
DELETE FROM dead WHERE id IN (SELECT letter FROM chosen ORDER BY letter)

-- name: REMOVE_ALL_BODIES
-- Without a condition SQLite frees whole pages.
DELETE FROM dead_body

-- name: REMOVE_ALL
DELETE FROM dead

-- name: FORGET_CHOSEN
-- An entry that is in the frontier as well, or has a second letter, still needs its children.
DELETE FROM spawned WHERE parent IN (SELECT entry FROM chosen WHERE mine AND entry)
    AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.id = parent)
    AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.id = parent)
    AND parent NOT IN (SELECT entry FROM dead WHERE job = :job_id AND id NOT IN (SELECT letter FROM chosen))
