"""A state file that somebody else may have written: data, and nothing that runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from scrapy_t8.errors import StoreDamaged
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.reader.reader import open_read_only
from scrapy_t8.stores.sqlite.store import SQLiteStore

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 1 AS one, max(x) AS record FROM c"
FORGED = {
    "a view": f"ALTER TABLE job RENAME TO was; CREATE VIEW job AS {ENDLESS}",
    "another view": f"CREATE VIEW aside AS {ENDLESS}",
    "a trigger": "CREATE TRIGGER t AFTER UPDATE ON job BEGIN DELETE FROM seen; END",
    "an index": "CREATE INDEX i ON seen (abs(fingerprint))",
    "another table": "CREATE TABLE more (x)",
    "a missing table": "DROP TABLE loss",
    "another column": "ALTER TABLE feed ADD COLUMN more",
    "a virtual table": "DROP TABLE loss; CREATE VIRTUAL TABLE loss USING fts4(kind)",
    "a large record": "UPDATE job SET record = record || printf('%1100000s', '')",
    "a deep record": "UPDATE job SET record = replace(printf('%100000s', ''), ' ', '[')",
    "a list": "UPDATE job SET record = '[1]'",
    "an unknown field": "UPDATE job SET record = json_set(record, '$.evil', 1)",
    "a feed that is no object": "INSERT INTO feed VALUES ('feed:x', '[[')",
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The directory of a state that was closed as it should be."""
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    job = JobRecord("job", "spider", {}, 0.0)
    store.begin_job(job)
    store.begin_run(1.0, 5)
    store.commit(CommitBatch(seen=[1, 2]), job, 2.0)
    store.end_run(3.0, "shutdown", job)
    store.close()
    return tmp_path / "t8"


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_state_is_refused_at_once(forged: str, state: Path) -> None:
    db = sqlite3.connect(state / "state.db")
    db.executescript(forged)
    db.close()
    before = (state / "state.db").read_bytes()
    store = SQLiteStore(state)
    with pytest.raises(StoreDamaged, match=r"state\.db is damaged: .*T8_RESUME=continue"):
        store.open()
    assert (state / "state.db").read_bytes() == before
    # Whoever says so goes on with the tables that are none of somebody else's.
    store.open(if_damaged="salvage")
    assert store.is_salvaged
    assert store.some_seen(10) == {1, 2}
    store.close()


@pytest.mark.parametrize("name", ["a view", "a trigger", "a virtual table"])
def test_a_reader_refuses_it_too(name: str, state: Path) -> None:
    db = sqlite3.connect(state / "state.db")
    db.executescript(FORGED[name])
    db.close()
    with pytest.raises(StoreDamaged, match="not those of a state file"), open_read_only(state):
        pass


@pytest.mark.parametrize("name", ["marks", "marks.commits", "holder", "lock", "state.db-wal", "anything"])
@pytest.mark.parametrize("how", ["link", "pipe"])
def test_nothing_in_the_directory_leads_out_of_it(name: str, how: str, state: Path) -> None:
    victim = state.parent / "thesis.txt"
    victim.write_text("precious")
    (state / name).unlink(missing_ok=True)
    make: Callable[[], None] = {
        "link": lambda: (state / name).symlink_to(victim),
        "pipe": lambda: __import__("os").mkfifo(state / name),
    }[how]
    make()
    for open_ in (SQLiteStore(state).open, lambda: open_read_only(state).__enter__()):
        with pytest.raises(StoreDamaged, match=f"{name} is a link, a pipe or a device"):
            open_()
    assert victim.read_text() == "precious"


def test_a_state_that_lacks_the_last_commit_is_refused(state: Path) -> None:
    copy = (state / "state.db").read_bytes()
    store = SQLiteStore(state)
    store.open()
    recovery = store.begin_run(4.0, 5)
    store.commit(CommitBatch(seen=[3]), recovery.job, 5.0)
    store.close()  # as by a kill: the run has not ended
    (state / "state.db").write_bytes(copy)
    with pytest.raises(StoreDamaged, match="older than the last commit of the crawl"):
        SQLiteStore(state).open()
    store.open(if_damaged="salvage")
    assert store.is_salvaged
    store.close()
    store.open()
    store.close()


def test_garbage_in_the_note_of_the_last_commit_is_refused_or_nothing(state: Path) -> None:
    """It looks like a missing commit; a note that is too short is no note."""
    (state / "marks.commits").write_bytes(b"\xff" * 16)
    with pytest.raises(StoreDamaged, match="T8_RESUME=continue"):
        SQLiteStore(state).open()
    (state / "marks.commits").write_bytes(b"short")
    store = SQLiteStore(state)
    store.open()
    store.close()
