"""Every SQL statement about the tasks of the service, by name."""

COLUMNS = "id, due, slot, payload, story"
FREE = "NOT EXISTS (SELECT 1 FROM lease WHERE lease.entry = waiting.id)"

ADD = f"INSERT INTO waiting ({COLUMNS}) VALUES (?, ?, ?, ?, ?)"
GET = f"SELECT {COLUMNS} FROM waiting WHERE id = ?"
NAMED = "SELECT entry FROM task_name WHERE task_id = ?"
NAME = "INSERT OR REPLACE INTO task_name (task_id, entry) VALUES (?, ?)"
ALL = f"SELECT {COLUMNS} FROM waiting WHERE id > ? ORDER BY id LIMIT ?"
SOME = f"SELECT {COLUMNS} FROM waiting WHERE slot = ? AND id > ? ORDER BY id LIMIT ?"
LEFT = """
    SELECT max((SELECT ifnull(max(id), 0) FROM waiting), (SELECT ifnull(max(entry), 0) FROM dead)) + 1,
        (SELECT count(*) FROM waiting)
"""
COUNT = "SELECT count(*) FROM waiting"
TYPES = "SELECT DISTINCT slot FROM waiting"
DUE = f"SELECT {COLUMNS} FROM waiting WHERE slot = ? AND due <= ? AND {FREE} ORDER BY due LIMIT ?"
NEXT_DUE = f"SELECT due FROM waiting WHERE slot = ? AND {FREE} ORDER BY due LIMIT 1"
POSTPONE = "UPDATE waiting SET due = ?, story = ? WHERE id = ?"
REMOVE = "DELETE FROM waiting WHERE id = ?"

LEASE = "INSERT INTO lease (entry, holder, since) VALUES (?, ?, ?)"
HOLDERS = "SELECT DISTINCT holder FROM lease"
LEASED_BY = f"SELECT {COLUMNS} FROM lease JOIN waiting ON waiting.id = lease.entry WHERE holder = ? AND NOT returned"
RELEASE = "DELETE FROM lease WHERE entry = ? AND holder = ?"
RETURN = "UPDATE lease SET returned = 1 WHERE entry = ? AND holder = ?"
RELEASE_ALL = "DELETE FROM lease WHERE holder = ?"
IS_LEASED = "SELECT 1 FROM lease WHERE entry = ?"

DEAD_ENTRY = "SELECT id FROM dead WHERE entry = ? AND job = ?"
