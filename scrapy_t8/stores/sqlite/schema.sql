-- An entry in flight has no state of its own: its row stays until the commit of its settlement.

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

-- id: queue and push order in one integer, so that a queue is a contiguous range of the table.
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    payload BLOB NOT NULL,
    crashes INTEGER NOT NULL DEFAULT 0,
    story TEXT
);

CREATE INDEX entry_crashes ON entry (crashes) WHERE crashes > 0;

CREATE TABLE seen (
    fingerprint INTEGER PRIMARY KEY
);

-- The children of pages that have not settled yet.
-- fingerprint: a number for an item of start(), bytes for a request: those of its kin, then some for each value in it.
CREATE TABLE spawned (
    parent INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,
    child INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (parent, fingerprint, child)
) WITHOUT ROWID;

-- Entries between two attempts. An entry that is due gets a new place in its queue.
CREATE TABLE waiting (
    id INTEGER PRIMARY KEY,
    due REAL NOT NULL,
    slot TEXT NOT NULL,
    payload BLOB NOT NULL,
    story TEXT NOT NULL
);

CREATE INDEX waiting_due ON waiting (due);

-- The service reads due tasks of the task types for which it has handlers.
CREATE INDEX waiting_slot ON waiting (slot, due);

-- The leases of waiting tasks of the service. A crawl needs none: it owns the file.
-- returned: the task was returned, but its handler has not ended yet.
CREATE TABLE lease (
    entry INTEGER PRIMARY KEY,
    holder TEXT NOT NULL,
    since REAL NOT NULL,
    returned INTEGER NOT NULL DEFAULT 0
);

-- Tasks of the service by name. A name is a task id that is not computed from the entry, or stands for a target.
CREATE TABLE task_name (
    task_id TEXT PRIMARY KEY,
    entry INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE host (
    slot TEXT PRIMARY KEY,
    record TEXT NOT NULL
) WITHOUT ROWID;

-- The dead-letter box outlives its job. Long values are in a table of their own, so that lists are read quickly.
CREATE TABLE dead (
    id INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,
    job TEXT NOT NULL,
    spider TEXT NOT NULL,
    kind TEXT NOT NULL,
    error TEXT NOT NULL,
    url TEXT NOT NULL,
    host TEXT NOT NULL,
    callback TEXT NOT NULL,
    status INTEGER,
    fingerprint INTEGER,
    code TEXT NOT NULL,
    task_type TEXT NOT NULL,
    target TEXT NOT NULL,
    buried_at REAL NOT NULL
);

CREATE INDEX dead_fingerprint ON dead (fingerprint);

CREATE TABLE dead_body (
    id INTEGER PRIMARY KEY,
    payload BLOB NOT NULL,
    story TEXT,
    detail TEXT
);

CREATE TABLE feed (
    name TEXT PRIMARY KEY,
    record TEXT NOT NULL
) WITHOUT ROWID;

-- Resume points outlive their job.
CREATE TABLE point (
    task_type TEXT NOT NULL,
    name TEXT NOT NULL,
    updated REAL NOT NULL,
    record TEXT NOT NULL,
    track TEXT NOT NULL,
    PRIMARY KEY (task_type, name)
) WITHOUT ROWID;

CREATE TABLE point_history (
    id INTEGER PRIMARY KEY,
    task_type TEXT NOT NULL,
    name TEXT NOT NULL,
    updated REAL NOT NULL,
    record TEXT NOT NULL
);

-- Other data of a job: the spider's state, cookies, statistics.
CREATE TABLE kept (
    name TEXT PRIMARY KEY,
    data BLOB NOT NULL
) WITHOUT ROWID;

-- Announced items. key: the hash of the key. open: the number of requests that are still to bring the item.
-- In the order of their announcement, which is that of their arrival: the changes of a commit share pages.
CREATE TABLE expected (
    id INTEGER PRIMARY KEY,
    key INTEGER NOT NULL UNIQUE,
    text TEXT NOT NULL,
    sources TEXT NOT NULL,
    open INTEGER NOT NULL DEFAULT 0,
    collected INTEGER NOT NULL DEFAULT 0,
    cause TEXT,
    request INTEGER,
    url TEXT,
    payload BLOB,
    healed INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX expected_request ON expected (request) WHERE request IS NOT NULL;

-- Announced numbers of items, by source.
CREATE TABLE announced (
    source TEXT PRIMARY KEY,
    total INTEGER NOT NULL
) WITHOUT ROWID;

-- Exported items, by the hash of their key, with job and run of the last export.
-- digest: digests of the fields, or with T8_DEDUP_POLICY = "last" the place of the item in the feeds.
CREATE TABLE item (
    key INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    run INTEGER NOT NULL,
    text TEXT,
    digest BLOB
);

-- Exported items, counted from 0, that a later one has replaced.
CREATE TABLE superseded (
    position INTEGER PRIMARY KEY
);

CREATE TABLE loss (
    kind TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    key TEXT,
    url TEXT,
    PRIMARY KEY (kind, pipeline, reason)
) WITHOUT ROWID;

CREATE TABLE tally (
    what TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (what, name)
) WITHOUT ROWID;

-- Pages, items and retries in each ten seconds.
CREATE TABLE timeline (
    began INTEGER PRIMARY KEY,
    pages INTEGER NOT NULL,
    items INTEGER NOT NULL,
    retries INTEGER NOT NULL
);

-- Jobs of this directory that have ended.
CREATE TABLE past_job (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    spider TEXT NOT NULL,
    begun REAL NOT NULL,
    ended REAL NOT NULL,
    items INTEGER NOT NULL,
    good INTEGER NOT NULL
);
