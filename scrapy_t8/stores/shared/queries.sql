-- name: COLUMNS
id, due, slot, payload, story

-- name: FREE
NOT EXISTS (SELECT 1 FROM lease WHERE lease.entry = waiting.id)

-- name: ADD
INSERT INTO waiting ({COLUMNS}) VALUES (?, ?, ?, ?, ?)

-- name: GET
SELECT {COLUMNS} FROM waiting WHERE id = ?

-- name: NAMED
SELECT entry FROM task_name WHERE task_id = ?

-- name: NAME
INSERT OR REPLACE INTO task_name (task_id, entry) VALUES (?, ?)

-- name: WAITING_FOR
SELECT {COLUMNS} FROM waiting WHERE id = (SELECT entry FROM task_name WHERE task_id = ?)

-- name: FORGET_NAME
DELETE FROM task_name WHERE task_id = ?

-- name: JOIN
UPDATE waiting SET due = :due, payload = :payload, story = :story WHERE id = :id

-- name: SOME
SELECT {COLUMNS} FROM waiting WHERE (:slot IS NULL OR slot = :slot) AND id > :last ORDER BY id LIMIT :limit

-- name: LEFT
SELECT max((SELECT ifnull(max(id), 0) FROM waiting), (SELECT ifnull(max(entry), 0) FROM dead)) + 1,
    (SELECT count(*) FROM waiting)

-- name: ALL_WAITING
SELECT id FROM waiting ORDER BY id

-- name: ALL_LEASED
SELECT entry FROM lease

-- name: COUNT
SELECT count(*) FROM waiting

-- name: TYPES
SELECT DISTINCT slot FROM waiting

-- name: DUE
SELECT {COLUMNS} FROM waiting WHERE slot = ? AND due <= ? AND {FREE} ORDER BY due LIMIT ?

-- name: NEXT_DUE
SELECT due FROM waiting WHERE slot = ? AND {FREE} ORDER BY due LIMIT 1

-- name: POSTPONE
UPDATE waiting SET due = ?, story = ? WHERE id = ?

-- name: REMOVE
DELETE FROM waiting WHERE id = ?

-- name: LEASE
INSERT INTO lease (entry, holder, since) VALUES (?, ?, ?)

-- name: HOLDERS
SELECT DISTINCT holder FROM lease

-- name: LEASED_BY
SELECT {COLUMNS} FROM lease JOIN waiting ON waiting.id = lease.entry WHERE holder = ? AND NOT returned

-- name: LEASED
SELECT {COLUMNS} FROM lease JOIN waiting ON waiting.id = lease.entry WHERE entry = ? AND holder = ?

-- name: RELEASE
DELETE FROM lease WHERE entry = ? AND holder = ?

-- name: RETURN
UPDATE lease SET returned = 1 WHERE entry = ? AND holder = ?

-- name: RELEASE_ALL
DELETE FROM lease WHERE holder = ?

-- name: IS_LEASED
SELECT 1 FROM lease WHERE entry = ?

-- name: DEAD_ENTRY
SELECT id FROM dead WHERE entry = ? AND job = ?

-- name: TALLY
SELECT what, name, count FROM tally
