"""Causes and examples are durable in the commit that settles their pages, and go on in the next run."""

from __future__ import annotations

from pathlib import Path

from scrapy_t8 import read_report
from scrapy_t8.core.frontier.endings import CAUSES, EXAMPLES, Endings
from scrapy_t8.core.page import Page
from scrapy_t8.core.run import RunContext
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.entry import Ending
from tests.unit.core.parts import kill, run_context


class Books:
    """The endings of one run, over a real store."""

    def __init__(self, directory: Path) -> None:
        self.context: RunContext = run_context(directory)
        self.ledger = self.context.record.ledger
        self.letters: list[DeadLetter] = []
        self.endings = Endings(self.context.store, self.context.record, self)  # type: ignore[arg-type]

    def bury(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    def book(self, *causes: str) -> None:
        for number, cause in enumerate(causes):
            page = Page(7)
            page.discard(Ending(cause, f"http://a/{number}", "parse", "a note"))
            page.settle()
            self.ledger.admitted += 1
            self.endings.book(page)

    def commit(self) -> None:
        batch = CommitBatch()
        self.endings.drain(batch)
        self.context.store.commit(batch, self.context.record, 1.0)


def test_counts_and_examples_survive_a_kill_with_their_commit(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.book("redirects", *["ignored:shop.Stock"] * (EXAMPLES + 2))
    books.commit()
    books.book("redirects", "status:404")  # of pages that are not committed
    kill(books.context)
    books = Books(tmp_path)
    books.book("redirects")
    books.commit()
    kill(books.context)
    report = read_report(tmp_path)["without_result"]
    assert {row["cause"]: row["count"] for row in report["causes"]} == {"redirects": 2, "ignored:shop.Stock": 7}
    assert report["causes"][0]["examples"][0] == {"url": "http://a/1", "callback": "parse", "note": "a note"}
    assert [len(row["examples"]) for row in report["causes"]] == [EXAMPLES, 2]


def test_requests_from_memory_enter_the_ledger_with_their_end(tmp_path: Path) -> None:
    books = Books(tmp_path)
    page = Page(7)
    letter = DeadLetter(0, b"", "parse", "a bug", 0.0)
    for end in (None, None, letter, Ending("offsite")):
        page.end_in_memory(end)
    books.endings.book_in_memory(page)
    assert (books.ledger.admitted, books.ledger.done, books.ledger.discarded) == (4, 2, 1)
    assert books.letters == [letter]
    kill(books.context)


def test_a_discarded_request_without_a_cause_is_unknown(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.ledger.discarded, books.ledger.admitted = 3, 3
    books.commit()
    kill(books.context)
    (row,) = read_report(tmp_path)["without_result"]["causes"]
    assert (row["cause"], row["count"], row["accepted"]) == ("unknown", 3, False)


def test_too_many_causes_are_counted_together(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.book(*(f"swallowed:Error{number}" for number in range(CAUSES + 3)))
    batch = CommitBatch()
    books.endings.drain(batch)
    assert batch.tally["cause", "swallowed:(others)"] == 3
    assert sum(batch.tally.values()) == books.ledger.discarded == CAUSES + 3
    kill(books.context)
