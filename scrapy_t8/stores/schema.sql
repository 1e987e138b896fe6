-- What is in flight needs no state of its own: an entry's row stays until the commit of its settlement.

CREATE TABLE job (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    record TEXT NOT NULL
);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    ended REAL,
    reason TEXT,
    last_commit REAL
);

CREATE TABLE queue (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    slot TEXT,
    stored INTEGER NOT NULL
);

-- id: queue and push order in one integer, so that a queue is a contiguous range of the table itself.
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    payload BLOB NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX entry_crashes ON entry (crashes) WHERE crashes > 0;

CREATE TABLE seen (
    fingerprint INTEGER PRIMARY KEY
);

-- What a page that is not settled yet has already brought about.
CREATE TABLE spawned (
    parent INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,
    child INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (parent, fingerprint, child)
) WITHOUT ROWID;

CREATE TABLE dead (
    id INTEGER NOT NULL,
    payload BLOB NOT NULL,
    kind TEXT NOT NULL,
    error TEXT NOT NULL,
    buried_at REAL NOT NULL
);

CREATE TABLE feed (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
) WITHOUT ROWID;
