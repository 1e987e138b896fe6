"""The item ledger is balanced at every commit and knows each key once, whatever fails or crashes in between."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.items.keys import ItemKeys
from scrapy_t8.core.items.ledger import DROPPED, DUPLICATE, EXPORTED, FAILED, Dedup, ItemLedger
from scrapy_t8.core.items.statistics import RunStatistics
from scrapy_t8.core.job.page_outputs import PageOutputs
from scrapy_t8.core.page import ITEMS, Page
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.reader.reader import open_read_only
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.hashes import hash63


class Feed:
    """A sink that remembers what is durable."""

    name = "feed"

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.durable: list[bytes] = []

    def write(self, records: list[bytes]) -> None:
        self.written += records

    def flush(self) -> None:
        pass

    def record(self) -> dict[str, Any]:
        return {}


class Crawl:
    """One job over its runs: pages come, settle, are committed; the process may die at any time."""

    def __init__(self, directory: Path, dedup: Dedup) -> None:
        self.directory = directory
        self.dedup = dedup
        self.feed = Feed()
        self.number = 0
        self.store = SQLiteStore(directory / "t8")
        self.store.open()
        self.store.begin_job(JobRecord("job", "spider", {}, 0.0))
        self._begin()

    def _begin(self) -> None:
        recovery = self.store.begin_run(0.0, 5)
        self.record = recovery.job
        store, codec = self.store, Codec()
        expectations, keys = Expectations(codec), ItemKeys("id")
        self.items = ItemLedger(
            store, self.record, recovery.run, keys=keys, dedup=self.dedup, expectations=expectations
        )
        self.books = RunStatistics(self.record, self.items, expectations)
        self.outputs = PageOutputs(self.items)
        self.feed.written = list(self.feed.durable)
        self.outputs.add_sink(self.feed)

    def page(self) -> Page:
        self.number += 1
        page = Page(self.number)
        page.leave_engine("host", "parse")
        return page

    def item(self, page: Page, item: dict[str, Any], outcome: int = EXPORTED) -> None:
        """As ItemTracker does."""
        items = page.own_items()
        items.entered += 1
        items.leave()
        if outcome == EXPORTED and self.items.duplicate_of(item, page):
            outcome = DUPLICATE
        loss = ("Pipeline", "a reason", "url") if outcome in (DROPPED, FAILED) else None
        note = self.items.outcome_of(outcome, item, page, loss, [])
        if page.was_delivered(ITEMS, self.items.identity(note)):
            items.entered -= 1
        else:
            items.add_outcome(note, self.directory)
        if outcome == EXPORTED:
            page.stage("feed", repr(item).encode(), self.directory)
        if loss is None:
            items.passed += 1
        items.current = 0

    def settle(self, page: Page) -> None:
        self.outputs.add(page)

    def commit(self) -> None:
        for page in self.outputs.drain(None):
            page.settle()
            self.books.settle(page)
        batch = CommitBatch(feeds=self.outputs.flush())
        self.books.fill(batch)
        self.store.commit(batch, self.record, 0.0)
        self.outputs.committed()
        self.feed.durable = list(self.feed.written)

    def die(self) -> None:
        self.store._db.close()
        self.store._lock.release()
        self.store._marks.close()
        self.store = SQLiteStore(self.directory / "t8")
        self.store.open()
        self._begin()

    @property
    def exported(self) -> Counter[bytes]:
        return Counter(self.feed.durable)


class Machine(RuleBasedStateMachine):
    """Random lives of random pages."""

    @initialize(
        which=st.sampled_from(["keyed", "off"]),
        policy=st.sampled_from(["first", "changed"]),
        scope=st.sampled_from(["job", "spider", "run"]),
    )
    def begin(self, which: str, policy: str, scope: str) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.dedup = Dedup(which, policy, scope)
        self.crawl = Crawl(Path(self.place.name), self.dedup)
        self.open: list[tuple[Page, list[tuple[dict[str, Any], int]]]] = []
        self.settled: list[list[tuple[dict[str, Any], int]]] = []
        self.durable: list[tuple[dict[str, Any], int]] = []

    @rule(
        items=st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 1), st.sampled_from([EXPORTED, EXPORTED, DROPPED, FAILED])),
            max_size=4,
        )
    )
    def fetch(self, items: list[tuple[int, int, int]]) -> None:
        page = self.crawl.page()
        brought = [({"id": key, "value": value}, outcome) for key, value, outcome in items]
        for item, outcome in brought:
            self.crawl.item(page, item, outcome)
        self.open.append((page, brought))

    @rule(chance=st.randoms())
    def settle(self, chance: Any) -> None:
        if self.open:
            page, brought = self.open.pop(chance.randrange(len(self.open)))
            self.crawl.settle(page)
            self.settled.append(brought)

    @rule()
    def try_again(self) -> None:
        """The page has failed: nothing that it has yielded counts."""
        if self.open:
            page, _ = self.open.pop()
            page.take_back_items()
            page.retry_later(ScheduledRetry(page.entry or 0, 1.0, "host", b"", "{}"))
            self.crawl.settle(page)

    @rule()
    def commit(self) -> None:
        self.crawl.commit()
        self.durable += [pair for brought in self.settled for pair in brought]
        self.settled = []

    @rule()
    def die(self) -> None:
        self.crawl.die()
        self.open, self.settled = [], []

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "crawl"):
            return
        job = self.crawl.store.job()
        assert job is not None
        ledger = job.ledger
        assert ledger.item_difference == 0
        assert ledger.scraped == len(self.durable)
        assert ledger.exported == len(self.crawl.feed.durable)
        assert ledger.dropped == sum(outcome == DROPPED for _, outcome in self.durable)
        assert ledger.failed == sum(outcome == FAILED for _, outcome in self.durable)
        exported = {repr(item).encode() for item, outcome in self.durable if outcome == EXPORTED}
        assert set(self.crawl.exported) <= exported
        if self.dedup.which == "off":
            assert ledger.duplicate == 0
        elif self.dedup.policy == "first" and self.dedup.scope != "run":
            keys = Counter(eval(row)["id"] for row in self.crawl.feed.durable)
            assert set(keys) == {item["id"] for item, outcome in self.durable if outcome == EXPORTED}
            assert set(keys.values()) <= {1}
        elif self.dedup.policy == "changed":
            assert set(self.crawl.exported) == exported

    def teardown(self) -> None:
        if hasattr(self, "crawl"):
            self.crawl.store.close()
            self.place.cleanup()


TestBooks = Machine.TestCase
TestBooks.settings = settings(stateful_step_count=25, deadline=None)


def test_an_item_that_is_dropped_later_makes_no_other_a_duplicate(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, Dedup())
    first, second = crawl.page(), crawl.page()
    crawl.item(first, {"id": 1}, DROPPED)
    crawl.item(second, {"id": 1})
    crawl.settle(first)
    crawl.settle(second)
    crawl.commit()
    assert crawl.feed.durable == [b"{'id': 1}"]
    assert crawl.record.ledger.duplicate == 0


def test_of_two_pages_in_flight_the_first_to_settle_keeps_its_item(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, Dedup())
    first, second = crawl.page(), crawl.page()
    crawl.item(first, {"id": 1, "page": 1})
    crawl.item(second, {"id": 1, "page": 2})
    crawl.settle(second)
    crawl.settle(first)
    crawl.commit()
    assert crawl.feed.durable == [b"{'id': 1, 'page': 2}"]
    assert (crawl.record.ledger.exported, crawl.record.ledger.duplicate) == (1, 1)


def test_a_page_that_is_buried_and_revived_is_counted_once(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, Dedup())
    page = crawl.page()
    crawl.item(page, {"id": 1})
    crawl.item(page, {"id": 2}, DROPPED)
    page.bury(DeadLetter(1, b"", "parse", "a bug", 0.0))
    crawl.settle(page)
    crawl.commit()
    again = crawl.page()
    again.begin_history(AttemptHistory(delivered=list(page.delivered)))
    crawl.item(again, {"id": 1})
    crawl.item(again, {"id": 2}, DROPPED)
    crawl.item(again, {"id": 3})
    crawl.settle(again)
    crawl.commit()
    assert crawl.feed.durable == [b"{'id': 1}", b"{'id': 3}"]
    ledger = crawl.record.ledger
    assert (ledger.scraped, ledger.exported, ledger.duplicate, ledger.dropped) == (3, 2, 0, 1)
    assert ledger.item_difference == 0


def test_the_last_one_wins(tmp_path: Path) -> None:
    crawl = Crawl(tmp_path, Dedup(policy="last"))
    for value in range(3):
        page = crawl.page()
        crawl.item(page, {"id": 1, "value": value})
        crawl.item(page, {"id": 10 + value})
        crawl.settle(page)
        crawl.commit()
        crawl.die()
    spool = [eval(row) for row in crawl.feed.durable]
    gone = list(crawl.store.items.superseded())
    left = [item for position, item in enumerate(spool) if position not in gone]
    assert left == [{"id": 10}, {"id": 11}, {"id": 1, "value": 2}, {"id": 12}]
    assert (crawl.record.ledger.exported, crawl.record.ledger.duplicate) == (4, 2)


def test_more_keys_than_memory_holds(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("scrapy_t8.core.items.ledger.HELD", 10)
    crawl = Crawl(tmp_path, Dedup())
    for _ in range(3):
        for number in range(100):
            page = crawl.page()
            crawl.item(page, {"id": number})
            crawl.settle(page)
            if number % 7 == 0:
                crawl.commit()
        crawl.commit()
        crawl.die()
    assert len(crawl.feed.durable) == 100
    assert crawl.record.ledger.duplicate == 200
    assert len(crawl.items._held) <= 10


@pytest.mark.parametrize("policy", ["first", "last", "changed"])
def test_notes_of_a_large_page_say_the_same_from_a_file(policy: str, tmp_path: Path, monkeypatch: Any) -> None:
    def noted_in(directory: Path) -> tuple[Any, ...]:
        directory.mkdir()
        crawl = Crawl(directory, Dedup(policy=policy))
        page = crawl.page()
        for number in range(20):
            crawl.item(page, {"id": number % 7, "name": number}, number % 4 or EXPORTED)
        crawl.settle(page)
        crawl.commit()
        with open_read_only(directory / "t8") as reader:
            return crawl.record.ledger, crawl.feed.durable, list(reader.losses()), reader.kept("coverage")

    held = noted_in(tmp_path / "held")
    monkeypatch.setattr("scrapy_t8.core.staging.OUTCOMES", 3)
    monkeypatch.setattr("scrapy_t8.core.staging.SPILL", 50)
    assert noted_in(tmp_path / "spilled") == held


def test_losses_are_told_apart_by_reason_up_to_a_point(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("scrapy_t8.core.items.ledger.REASONS", 3)
    crawl = Crawl(tmp_path, Dedup())
    page = crawl.page()
    for number in range(10):
        page.own_items().entered += 1
        loss = "P", f"reason {number}", "u"
        page.own_items().add_outcome(crawl.items.outcome_of(DROPPED, {"id": number}, page, loss, []), tmp_path)
    crawl.settle(page)
    crawl.commit()
    with open_read_only(tmp_path / "t8") as reader:
        losses = {loss.reason: (loss.times, loss.key) for loss in reader.losses()}
    assert losses == {"(other reasons)": (7, "3"), **{f"reason {n}": (1, str(n)) for n in range(3)}}


def test_keys_of_another_job_count_only_in_the_scope_of_the_spider(tmp_path: Path) -> None:
    for scope, expected in (("spider", 0), ("job", 1)):
        place = tmp_path / scope
        place.mkdir()
        crawl = Crawl(place, Dedup(scope=scope))
        page = crawl.page()
        crawl.item(page, {"id": 1})
        crawl.settle(page)
        crawl.commit()
        crawl.store.begin_job(replace(crawl.record, number=2, ledger=type(crawl.record.ledger)()), keep_items=True)
        crawl.feed.durable.clear()
        crawl.die()
        page = crawl.page()
        crawl.item(page, {"id": 1})
        crawl.settle(page)
        crawl.commit()
        assert len(crawl.feed.durable) == expected
        seen = crawl.store.items.item(hash63(b"key:1"))
        assert seen is not None
        assert seen.job == 2
        crawl.store.close()
