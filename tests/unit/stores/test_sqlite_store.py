"""The store of a crawl."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.errors import JobLocked, StoreDamaged, StoreError, StoreVersion
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Entry, QueueRecord, entry_id
from scrapy_t8.model.job import JobRecord, Ledger
from scrapy_t8.stores.base import Store
from scrapy_t8.stores.sqlite.store import SQLiteStore

STORES: dict[str, Callable[[Path], SQLiteStore]] = {
    "sqlite": SQLiteStore,
    "sqlite-power": lambda path: SQLiteStore(path, power=True),
}


@pytest.fixture(params=STORES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SQLiteStore]]:
    """Makes stores on the same state, and gives up what is left of them."""
    made: list[SQLiteStore] = []

    def build() -> SQLiteStore:
        made.append(STORES[request.param](tmp_path / "t8"))
        return made[-1]

    yield build
    for store in made:
        store.close()


def job() -> JobRecord:
    return JobRecord("job_1", "spider", {"a": "b"}, 1.0)


def begun(store: Store) -> QueueRecord:
    store.open()
    store.begin_job(job())
    store.begin_run(2.0, 5)
    return store.new_queue("/host/0", "host")


def die(store: SQLiteStore) -> None:
    """As a kill does: no goodbye to the state, and the lock is gone."""
    store._db.close()
    store._lock.release()
    store._marks.close()


def test_a_new_state_has_no_job(make: Any) -> None:
    store = make()
    store.open()
    assert (store.job(), store.last_run(), store.queues(), letters(store), store.feeds()) == (None, None, [], [], {})


def test_a_commit_survives_a_crash(make: Any) -> None:
    store = make()
    queue = begun(store)
    queue.stored = 2
    record = job()
    record.ledger = Ledger(admitted=3, done=1)
    batch = CommitBatch(
        added=[(entry_id(queue.id, n), b"%d" % n, None) for n in (1, 2)],
        seen=[2**63 - 1, 0, 5],
        spawned=[(7, 5, 8, 1), (7, b"k1", 9, 1), (7, b"k2", 10, 2), (7, b"l", 11, 1)],
        queues=[queue],
        feeds={"feed:x": {"length": 3}},
        buried=[DeadLetter(9, b"p", "callback", "gone", 3.0)],
    )
    store.commit(batch, record, 4.0)
    die(store)
    again = make()
    again.open()
    assert again.job() == record
    assert again.last_run().last_commit == 4.0
    assert again.last_run().ended is None
    assert again.queues() == [queue]
    assert [e.payload for e in entries(again)] == [b"1", b"2"]
    assert again.some_seen(10) == {0, 5, 2**63 - 1}
    assert again.seen(5)
    assert not again.seen(6)
    assert again.parents() == {7}
    assert (again.spawned(7, 5, 5, before=2), again.spawned(7, 5, 5, before=1)) == ([(5, 8)], [])
    assert again.spawned(7, b"k", b"k\xff", before=2) == [(b"k1", 9)]
    assert again.spawned(7, b"k", b"k\xff", before=3) == [(b"k1", 9), (b"k2", 10)]
    assert again.feeds() == {"feed:x": {"length": 3}}
    assert letters(again) == batch.buried


def test_a_commit_is_all_or_nothing(make: Any) -> None:
    store = make()
    queue = begun(store)
    twice = [(entry_id(queue.id, 1), b"", None), (entry_id(queue.id, 1), b"", None)]
    with pytest.raises(StoreError):
        store.commit(CommitBatch(added=twice, seen=[1]), job(), 2.0)
    assert entries(store) == []
    assert not store.seen(1)


def test_reading_a_queue_from_either_end(make: Any) -> None:
    store = make()
    first, second = begun(store), store.new_queue("/host/-1", "host")
    ids = [entry_id(first.id, n) for n in range(1, 6)]
    other = entry_id(second.id, 3)
    store.commit(CommitBatch(added=[(i, b"", None) for i in [*ids, other]], queues=[first, second]), job(), 2.0)
    read = lambda **kwargs: [e.id for e in store.read(first.id, **kwargs)]  # noqa: E731
    assert read(newest_first=True, beyond=None, limit=2) == ids[:2:-1]
    assert read(newest_first=True, beyond=ids[3], limit=9) == ids[2::-1]
    assert read(newest_first=False, beyond=None, limit=2) == ids[:2]
    assert read(newest_first=False, beyond=ids[1], limit=9) == ids[2:]
    assert [e.id for e in store.read(second.id, newest_first=True, beyond=None, limit=9)] == [other]


def test_a_crash_is_charged_to_the_requests_in_flight(make: Any) -> None:
    store = make()
    queue = begun(store)
    ids = [entry_id(queue.id, n) for n in (1, 2, 3)]
    queue.stored = 3
    store.commit(CommitBatch(added=[(i, b"", None) for i in ids], queues=[queue]), job(), 2.0)
    for entry in ids[:2]:
        store.mark_in_flight(entry)
    store.unmark_in_flight(ids[0])
    store.mark_in_flight(entry_id(queue.id, 99))  # not yet committed when the process dies
    die(store)
    again = make()
    again.open()
    found = again.begin_run(5.0, 5)
    assert found.recovered == 1
    assert (found.last_run.reason, found.last_run.ended) == ("died", 2.0)
    assert {e.id: e.crashes for e in entries(again)} == {ids[0]: 0, ids[1]: 1, ids[2]: 0}


def test_no_crash_is_charged_to_a_request_that_is_set_aside(make: Any) -> None:
    """The request is still in the store, but not in flight."""
    store = make()
    queue = begun(store)
    ids = [entry_id(queue.id, n) for n in (1, 2)]
    queue.stored = 2
    store.commit(CommitBatch(added=[(i, b"", None) for i in ids], queues=[queue]), job(), 2.0)
    for entry in ids:
        store.mark_in_flight(entry)
    store.unmark_in_flight(ids[0], is_stored=True)
    die(store)
    again = make()
    again.open()
    assert again.begin_run(5.0, 5).recovered == 1
    assert {e.id: e.crashes for e in entries(again)} == {ids[0]: 0, ids[1]: 1}


def test_a_clean_end_charges_no_crash(make: Any) -> None:
    store = make()
    queue = begun(store)
    store.commit(CommitBatch(added=[(entry_id(queue.id, 1), b"", None)], queues=[queue]), job(), 2.0)
    store.mark_in_flight(entry_id(queue.id, 1))
    store.end_run(3.0, "shutdown", job())
    store.close()
    again = make()
    again.open()
    found = again.begin_run(5.0, 5)
    assert (found.recovered, found.last_run.reason) == (0, "shutdown")
    assert [e.crashes for e in entries(again)] == [0]


def test_a_crash_suspect_is_reported_and_buried_after_another_crash(make: Any) -> None:
    store = make()
    queue = begun(store)
    queue.stored = 2
    ids = [entry_id(queue.id, n) for n in (1, 2)]
    record = job()
    record.ledger.admitted = 2
    store.commit(CommitBatch(added=[(i, b"p", None) for i in ids], queues=[queue]), record, 2.0)
    for crash in (1, 2, 3):
        store.mark_in_flight(ids[0])
        die(store)
        store = make()
        store.open()
        found = store.begin_run(10.0 + crash, 2)
        assert [(e.id, e.crashes) for e in found.crashed] == ([(ids[0], crash)] if crash >= 2 else [])
    assert [e.id for e in entries(store)] == ids


def entries(store: Any) -> list[Entry]:
    return [Entry(*row) for row in store._db.execute("SELECT id, payload, crashes, story FROM entry ORDER BY id")]


def letters(store: Any) -> list[DeadLetter]:
    """All of them, whole, without the numbers that the box has given them."""
    whole = (store.box.letter(letter.id) for letter in store.box.letters())
    return [letter._replace(id=0) for letter in whole]


def test_one_owner_at_a_time(make: Any) -> None:
    store, other = make(), make()
    store.open()
    with pytest.raises(JobLocked, match=rf"in use by another process \(pid {os.getpid()}\)"):
        other.open()
    die(store)
    other.open()


def test_a_new_job_keeps_the_dead_letters(make: Any) -> None:
    store = make()
    queue = begun(store)
    letter = DeadLetter(1, b"p", "callback", "gone", 3.0)
    store.commit(
        CommitBatch(added=[(entry_id(queue.id, 1), b"", None)], seen=[1], buried=[letter], queues=[queue]), job(), 2.0
    )
    store.begin_job(job())
    assert (entries(store), store.seen(1), store.queues(), store.last_run()) == ([], False, [], None)
    assert letters(store) == [letter]


def test_what_a_settled_parent_spawned_is_forgotten_in_slices(make: Any) -> None:
    store = make()
    begun(store)
    store.commit(CommitBatch(spawned=[(7, n, n, 1) for n in range(1200)]), job(), 2.0)
    store.commit(CommitBatch(forgotten=[7]), job(), 2.0)
    assert store.parents() == {7}
    for _ in range(3):
        store.commit(CommitBatch(), job(), 2.0)
    assert store.parents() == set()


def test_only_the_owner_may_read_the_files(make: Any, tmp_path: Path) -> None:
    begun(make())
    for file in (tmp_path / "t8").iterdir():
        if file.name != "holder":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


# -- a file that is not as it should be --------------------------------------------------------------------------


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "text":
        path.write_text("this is no database")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "half":
        path.write_bytes(data[: len(data) // 2])
    elif how == "header":
        path.write_bytes(b"SQLite format 3\0" + bytes(84) + data[100:])
    elif how == "foreign":
        path.unlink()
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE t (a)")
        db.close()


@pytest.mark.parametrize("how", ["text", "empty", "half", "header", "foreign"])
def test_a_damaged_file_is_refused_and_left_alone(make: Any, tmp_path: Path, how: str) -> None:
    store = make()
    begun(store)
    store.end_run(3.0, "shutdown", job())
    store.close()
    file = tmp_path / "t8" / "state.db"
    spoil(file, how)
    before = file.read_bytes()
    with pytest.raises(StoreDamaged, match=r"T8_RESUME=continue.*T8_RESUME=fresh"):
        make().open()
    assert file.read_bytes() == before


def test_a_newer_schema_is_refused(make: Any, tmp_path: Path) -> None:
    store = make()
    begun(store)
    store.close()
    db = sqlite3.connect(tmp_path / "t8" / "state.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreVersion, match="schema 99"):
        make().open()


def test_readable_records_are_salvaged(make: Any, tmp_path: Path) -> None:
    store = make()
    queue = begun(store)
    ids = [entry_id(queue.id, n) for n in range(1, 2001)]
    record = job()
    record.ledger.admitted = len(ids)
    store.commit(
        CommitBatch(added=[(i, b"x" * 200, None) for i in ids], seen=list(range(500)), queues=[queue]), record, 2.0
    )
    store.end_run(3.0, "shutdown", record)
    store.close()
    file = tmp_path / "t8" / "state.db"
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = os.urandom(8192)
    file.write_bytes(data[:-8192])  # two pages overwritten, two lost
    again = make()
    again.open(if_damaged="salvage")
    kept = entries(again)
    assert 1900 < len(kept) < 2000
    assert {e.payload for e in kept} == {b"x" * 200}
    assert again.queues()[0].stored == len(kept)
    assert again.job().id == record.id
    assert again.job().ledger.difference(len(kept)) == 0
    assert len(list((tmp_path / "t8").glob("state.db.damaged-????????-??????"))) == 1


@pytest.mark.parametrize("how", ["text", "empty", "half", "header"])
@pytest.mark.parametrize("then", ["salvage", "replace"])
def test_a_damaged_file_is_set_aside(make: Any, tmp_path: Path, how: str, then: Any) -> None:
    store = make()
    begun(store)
    store.close()
    file = tmp_path / "t8" / "state.db"
    spoil(file, how)
    before = file.read_bytes()
    again = make()
    again.open(if_damaged=then)
    (aside,) = (tmp_path / "t8").glob("state.db.damaged-????????-??????")
    assert aside.read_bytes() == before
    again.begin_job(job())


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot open the state in .*file/t8"):
        SQLiteStore(tmp_path / "file" / "t8").open()


def test_a_state_that_was_replaced_under_the_crawl(make: Any, tmp_path: Path) -> None:
    store = make()
    begun(store)
    (tmp_path / "t8" / "state.db").unlink()
    with pytest.raises(StoreError):
        store.commit(CommitBatch(), job(), 2.0)
