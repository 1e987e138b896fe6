"""Expected items, what becomes of them, and what the report says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from scrapy import Request, Spider
from w3lib.url import canonicalize_url

from scrapy_t8.config.causes import Accepted
from scrapy_t8.core.frontier.endings import ACCEPT
from scrapy_t8.core.items.expectations import META, Expectations, expecting
from scrapy_t8.core.offline.heal import heal, would_heal
from scrapy_t8.core.page import Page
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter
from scrapy_t8.model.entry import Ending
from scrapy_t8.model.items import ItemKey
from scrapy_t8.model.job import JobRecord, Ledger, PastJob
from scrapy_t8.report.shortfall.missing import Missing
from scrapy_t8.stores.reader.reader import open_read_only
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.hashes import hash63


class Books:
    """A store, and what one run learns."""

    def __init__(self, jobdir: Path) -> None:
        self.jobdir = jobdir
        self.store = SQLiteStore(jobdir / "t8")
        self.store.open()
        self.job = JobRecord("job", "spider", {}, 0.0, ledger=Ledger())
        self.store.begin_job(self.job)
        self.store.begin_run(0.0, 5)
        self.codec = Codec(Spider("spider"))
        self.expectations = Expectations(self.codec)
        self.entry = 0
        self.known: set[int] = set()

    def admit(self, url: str, key: str, source: str = "list", *, by_page: bool = True, **meta: Any) -> Request:
        request = Request(url, meta=meta)
        expecting(request, key, source, by_page=by_page)
        self.expectations.admitted(request)
        return request

    def page(self, request: Request) -> Page:
        self.entry += 1
        page = Page(self.entry)
        page.carry((), self.expectations.of(request))
        page.keep_request(request)
        return page

    def settle(
        self,
        request: Request,
        *,
        passed: int = 0,
        lost: str = "",
        discarded: bool = False,
        replaced: bool = False,
        retry: ScheduledRetry | None = None,
        letter: DeadLetter | None = None,
    ) -> Page:
        page = self.page(request)
        for _ in range(passed):
            page.own_items().passed += 1
        if lost:
            page.own_items().lose(lost)
        if discarded:
            page.discard(Ending("ignored:shop.Stock"))
        if replaced:
            page.replace()
        if retry is not None:
            page.retry_later(retry)
        if letter is not None:
            page.bury(letter)
        page.settle()
        self.expectations.settle(page, self.has)
        return page

    def has(self, key: int) -> bool:
        return key in self.known

    def commit(self, **batch: Any) -> None:
        changes = CommitBatch(**batch)
        self.expectations.drain(changes)
        self.store.commit(changes, self.job, 0.0)

    def causes(self) -> dict[str, tuple[str, str]]:
        """The cause of each missing item, by its key."""
        return {
            str(example["key"]): (row["cause"], row["detail"])
            for row in self.missing_section()["causes"]
            for example in row["examples"]
            if "key" in example
        }

    def missing(self, *accept: str) -> Missing:
        with open_read_only(self.jobdir / "t8") as reader:
            job = reader.job()
            assert job is not None
            return Missing(reader, job, Accepted(accept))

    def missing_section(self) -> dict[str, Any]:
        missing = self.missing()
        assert missing.expected == missing.collected + missing.count
        return missing.to_dict()


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path)
    yield made
    made.store.close()


def letter(request: Request, entry: int = 1) -> DeadLetter:
    payload = Codec(Spider("spider")).encode_request(request)
    return DeadLetter(entry, payload, "host", "500", 0.0, url=request.url, fingerprint=77, job="job", spider="spider")


def test_every_cause_has_its_name(books: Books) -> None:
    books.expectations.announce([("list", "unlinked", None), ("list", "had", None)])
    ready = books.admit("http://a/ready", "ready")
    waits = books.admit("http://a/waits", "waits")
    books.settle(books.admit("http://a/none", "none"))
    books.settle(books.admit("http://a/drop", "drop"), lost="dropped\tP: too cheap")
    books.settle(books.admit("http://a/fail", "fail"), lost="failed\tP: ValueError: x")
    books.settle(books.admit("http://a/gone", "gone"), discarded=True)
    books.settle(books.admit("http://a/good", "good"), passed=1)
    dead = books.admit("http://a/dead", "dead")
    books.settle(dead, letter=letter(dead))
    story = AttemptHistory()
    story.add(1.0, "network", "timeout", charged=True)
    waiting = ScheduledRetry(5, 9.0, "a", books.codec.encode_request(waits), story.dumps())
    books.commit(waiting=[waiting], buried=[letter(dead)], items=[ItemKey(hash63(b"key:had"), "had")])
    assert books.causes() == {
        "unlinked": ("never_linked", ""),
        "ready": ("not_fetched", ""),
        "waits": ("waiting", "network"),
        "none": ("no_item", ""),
        "drop": ("dropped", "P: too cheap"),
        "fail": ("failed", "P: ValueError: x"),
        "gone": ("discarded", "ignored:shop.Stock"),
        "dead": ("dead", "host: 500"),
    }
    missing = books.missing()
    assert (missing.expected, missing.collected, missing.count) == (10, 2, 8)
    del ready


def test_a_missing_item_is_accepted_with_the_cause_of_its_request(books: Books) -> None:
    books.settle(books.admit("http://a/gone", "gone"), discarded=True)
    books.settle(books.admit("http://a/none", "none"))
    dead = books.admit("http://a/dead", "dead")
    books.settle(dead, letter=letter(dead))
    books.job.finished = True
    books.commit(buried=[letter(dead)], kept={ACCEPT: msgpack.packb(["ignored:shop.*"])})
    assert [books.missing(*accept).accepted for accept in ((), ("ignored:shop.*",), ("failure:host",))] == [0, 1, 1]
    books.store.close()
    healing = would_heal(books.jobdir)
    assert (healing.revived, healing.total) == (1, 2), "what is accepted is not fetched again"
    books.store.open()


def test_a_page_that_waits_for_a_retry_has_no_outcome_yet(books: Books) -> None:
    request = books.admit("http://a/1", "1")
    books.settle(request, retry=ScheduledRetry(1, 2.0, "a", b"", "{}"))
    books.settle(request, replaced=True)
    books.commit()
    assert books.causes() == {"1": ("not_fetched", "")}
    books.settle(request, passed=1)
    books.commit()
    assert books.causes() == {}


def test_an_item_further_down_counts_for_the_page_that_led_to_it(books: Books) -> None:
    first = books.admit("http://a/1", "1")
    page = books.page(first)
    request = first
    for depth in range(5):
        child = Request(f"http://a/1/{depth}")
        books.expectations.pass_on(page, child)
        if META not in child.meta:
            break
        books.expectations.admitted(child)
        books.settle(request)
        books.commit()
        assert books.causes() == {"1": ("not_fetched", "")}
        request, page = child, books.page(child)
    assert depth == 3
    books.settle(request, passed=1)
    books.commit()
    assert books.causes() == {}


def test_a_page_that_has_brought_its_item_passes_nothing_on(books: Books) -> None:
    page = books.page(books.admit("http://a/1", "1"))
    page.own_items().entered += 1
    child = Request("http://a/2")
    books.expectations.pass_on(page, child)
    assert META not in child.meta


def test_an_exact_key_is_not_satisfied_by_any_item(books: Books) -> None:
    books.settle(books.admit("http://a/1", "one", by_page=False), passed=1)
    books.settle(books.admit("http://a/2", "two", by_page=False), passed=1)
    books.commit(items=[ItemKey(hash63(b"key:two"), "two")])
    assert books.causes() == {"one": ("no_item", "")}


def test_an_item_dropped_by_key_is_known_without_its_request(books: Books) -> None:
    books.expectations.announce([("list", "a", None), ("list", "b", None)])
    books.commit()
    books.expectations.missed("a", "dropped\tP: no", "http://a/a")
    books.expectations.missed("stranger", "dropped\tP: no", "http://a/s")
    books.commit()
    assert books.causes() == {"a": ("dropped", "P: no"), "b": ("never_linked", "")}


def test_sources_and_totals(books: Books) -> None:
    books.expectations.announce([("a", "1", None), ("a", "2", None), ("b", "2", None), ("b", "3", None)])
    books.expectations.announce([("a", "", 5), ("b", "", 2), ("c", "", 4)])
    books.job.ledger.exported = 3
    books.commit(items=[ItemKey(hash63(b"key:2"), "2")])
    rows = {row["source"]: row for row in books.missing().totals}
    assert rows["a"] == {"source": "a", "announced": 5, "keys": 2, "collected": 1, "missing": 4}
    assert rows["b"] == {"source": "b", "announced": 2, "keys": 2, "collected": 1, "missing": 1}
    # The two other items may be those that c speaks of.
    assert rows["c"] == {"source": "c", "announced": 4, "keys": 0, "collected": 2, "missing": 2}
    missing = books.missing()
    assert (missing.expected, missing.collected, missing.count, missing.unnamed) == (10, 3, 7, 5)


def test_urls_of_a_sitemap_are_matched_by_the_page(books: Books) -> None:
    books.expectations.expect_urls()
    urls = ["http://a/x?b=2&a=1", "http://a/y", "http://a/z", "http://a/w"]
    books.expectations.announce([("sitemap", canonicalize_url(url), None) for url in urls])
    books.commit()
    for url, facts in (("http://a/x?a=1&b=2", {"passed": 1}), ("http://a/y", {}), ("http://a/stranger", {})):
        request = Request(url)
        books.expectations.admitted(request)
        books.settle(request, **facts)
    books.expectations.admitted(Request("http://a/w"))
    books.commit()
    assert books.causes() == {
        "http://a/y": ("no_item", ""),
        "http://a/z": ("never_linked", ""),
        "http://a/w": ("not_fetched", ""),
    }
    assert books.missing().expected == 4


def test_letters_that_are_revived_or_discarded(books: Books) -> None:
    request = books.admit("http://a/1", "1")
    books.settle(request, letter=letter(request))
    books.job.ledger.admitted = books.job.ledger.dead = 1
    books.commit(buried=[letter(request)])
    assert books.causes() == {"1": ("dead", "host: 500")}
    assert books.store.box.revive(LetterFilter(), books.job, 0.0) == 1
    assert books.causes() == {"1": ("waiting", "")}
    books.settle(request, letter=letter(request))
    books.job.ledger.dead = 1
    books.commit(buried=[letter(request)], reactivated=[1])
    assert books.store.box.discard(LetterFilter(), books.job) == 1
    assert books.causes() == {"1": ("discarded", "")}
    books.job.finished = True
    books.commit()
    books.store.close()
    assert heal(books.jobdir).repeated == 1, "the request was kept"
    books.store = SQLiteStore(books.jobdir / "t8")
    books.store.open()
    (waiting,) = books.store.waiting()
    assert books.codec.decode_request(waiting.payload).meta[META] == request.meta[META]


def test_heal_takes_what_is_missing_and_only_that(books: Books) -> None:
    books.expectations.announce([("list", "http://a/url", None), ("list", "a word", None)])
    books.admit("http://a/ready", "ready")
    books.settle(books.admit("http://a/none", "none", kept=(1, 2)))
    books.settle(books.admit("http://a/good", "good"), passed=1)
    dead = books.admit("http://a/dead", "dead")
    books.settle(dead, letter=letter(dead))
    books.job.ledger.admitted, books.job.ledger.done, books.job.ledger.dead = 3, 2, 1
    books.job.finished, books.job.next_seq = True, 100
    books.commit(buried=[letter(dead)])
    books.store.close()
    healing = heal(books.jobdir)
    assert (healing.revived, healing.repeated, healing.asked, healing.under_way) == (1, 2, 1, 1)
    assert healing.total == 4
    books.store = SQLiteStore(books.jobdir / "t8")
    books.store.open()
    job = books.store.job()
    assert job is not None
    assert not job.finished
    assert (job.ledger.admitted, job.ledger.dead) == (5, 0)
    requests = {}
    for waiting in books.store.waiting():
        request = books.codec.decode_request(waiting.payload)
        requests[request.url] = request
    assert set(requests) == {"http://a/none", "http://a/url", "http://a/dead"}
    assert requests["http://a/none"].dont_filter
    assert requests["http://a/none"].meta["kept"] == (1, 2)
    assert list(books.store.items.items_to_request()) == ["a word"]


def test_the_last_good_job_is_what_the_next_one_should_bring(books: Books) -> None:
    books.commit(items=[ItemKey(1, "a"), ItemKey(2, "b"), ItemKey(3, None)])
    books.store.items.add_past_job(PastJob("job", 1, "spider", 0.0, 1.0, 3, good=True))
    books.store.items.add_past_job(PastJob("other", 2, "other", 0.0, 1.0, 3, good=True))
    assert books.store._db.execute("SELECT good FROM past_job WHERE spider = 'spider'").fetchall() == [(1,)]
    books.job = replace(books.job, number=3)
    books.store.begin_job(books.job, keep_items=True)
    assert books.store.items.expect_last("spider", "last good job") == 2
    books.commit(items=[ItemKey(2, "b")])
    assert books.causes() == {"a": ("never_linked", "")}


def test_a_source_that_announces_again_is_named_once(books: Books) -> None:
    for source in ("a", "b", "a", "ab", "b"):
        books.expectations.announce([(source, "1", None)])
        books.commit()
    assert [row["source"] for row in books.missing().totals] == ["a", "ab", "b"]
