"""What is still to be done: ready, waiting, leased."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import QueueRecord, entry_id
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.reader.reader import Reader, open_read_only
from scrapy_t8.stores.sqlite.store import SQLiteStore

READY = {"a": 3000, "b": 900, "c": 1, "": 40}
"""By slot. Every third is of the kind x, the others of y."""
WAITING = {"a": 2000, "d": 7}


def kind(number: int) -> bytes:
    return b"x" if number % 3 == 0 else b"y"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    job = JobRecord("job", "spider", {}, 0.0)
    store.begin_job(job)
    store.begin_run(0.0, 5)
    batch = CommitBatch()
    # The ids of a queue with a high number are above 2 ** 53.
    for number, (slot, count) in zip((1, 2, 3, 1 << 24), READY.items(), strict=True):
        batch.queues.append(QueueRecord(number, slot, slot or None, count))
        batch.added += [(entry_id(number, 5 * seq + 1), kind(seq), None) for seq in range(count)]
    for slot, count in WAITING.items():
        # All due at once, as after a revival.
        batch.waiting += [
            ScheduledRetry(len(slot + slot) * 10**6 + ord(slot) * 10**7 + n, 1.0, slot, kind(n), "")
            for n in range(count)
        ]
    store.commit(batch, job, 0.0)
    for entry in (entry_id(1, 1), entry_id(2, 6), entry_id(1 << 24, 1), 999):
        store.mark_in_flight(entry)
    with open_read_only(tmp_path / "t8") as reader:
        yield reader
    store.close()


def test_each_stored_request_is_read_once(reader: Reader) -> None:
    for payloads, counts in ((reader.backlog.ready(), READY), (reader.backlog.waiting(), WAITING)):
        by_kind = Counter(kind(number) for count in counts.values() for number in range(count))
        assert Counter(payloads) == by_kind


def test_what_is_leased(reader: Reader) -> None:
    assert reader.backlog.leased() == [("a", b"x"), ("b", b"y"), ("", b"x")]


def test_by_slot(reader: Reader) -> None:
    assert reader.backlog.ready_by_slot() == READY
    assert reader.backlog.waiting_by_slot() == WAITING
