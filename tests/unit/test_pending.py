"""What is pending, counted whole or by a part that stands for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.entry import QueueRecord, entry_id
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.reader.backlog import BLOCK
from scrapy_t8.stores.reader.reader import Reader, reading
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
    # A queue whose number is high: its ids are no floats.
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
    with reading(tmp_path / "t8") as reader:
        yield reader
    store.close()


@pytest.mark.parametrize("most", [1, 100, 1000, 10**9])
def test_shares_stand_for_all(reader: Reader, most: int) -> None:
    for shares, counts in ((reader.pending.ready(most), READY), (reader.pending.waiting(most), WAITING)):
        found = list(shares)
        weights: Counter[str] = Counter()
        for share in found:
            weights[share.slot] += share.weight  # type: ignore[assignment]
        assert weights == pytest.approx(counts)
        assert len(found) == sum(counts.values()) if most == 10**9 else len(found) <= 2 * max(most, BLOCK * len(counts))
        of_x = sum(share.weight for share in found if share.payload == b"x" and share.slot == "a")
        assert of_x == pytest.approx(counts["a"] / 3, rel=0.2)


def test_what_is_leased(reader: Reader) -> None:
    assert reader.pending.leased() == [("a", b"x"), ("b", b"y"), ("", b"x")]
    assert reader.in_flight() == 3


def test_by_slot(reader: Reader) -> None:
    assert reader.pending.ready_by_slot() == READY
    assert reader.pending.waiting_by_slot() == WAITING
