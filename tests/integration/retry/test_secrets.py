"""Nothing that people read shows a secret of a crawl that fails in many ways, and all that is stored keeps it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scrapy_t8.core.offline.dead_letters import open_dead_letters
from tests.support.command import T8
from tests.support.crawl import Crawl, Run

pytestmark = pytest.mark.slow

SECRET = "geh3im"
RECORD = re.compile(r"(?m)^(?=\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[)")
LOGGED = ("Request given up", "Retry 1 of", "looks down", "from memory", "Integrity report", "invalid Retry-After")
SHOWN = (
    ("status",),
    ("status", "--json"),
    ("report",),
    ("report", "--json"),
    ("verify",),
    ("points", "list"),
    ("failed", "list"),
    ("failed", "list", "--json"),
    ("failed", "list", "--state", "waiting"),
    ("failed", "groups"),
    ("failed", "export"),
    ("failed", "revive", "--dry-run"),
)


def own_records(run: Run) -> list[str]:
    """Return the records of T8's loggers, with all their lines."""
    return [record for record in RECORD.split(run.log) if re.match(r"\S+ \S+ \[(scrapy_t8|T8)", record)]


def called(t8: T8, job: Path, *words: str) -> str:
    """Return all that a command prints."""
    t8(*words, "--jobdir", job)
    return t8.out + t8.err


def test_nothing_that_people_read_shows_a_secret(crawl: Crawl, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    t8 = T8(capsys)
    settings = {"SPIDER_MODULES": "leaky", "T8_RETRY_WAIT": 0, "T8_BREAKER_FAILURES": 2}
    run = crawl.run("leaky", LOG_LEVEL="DEBUG", password=SECRET, **settings)
    records = own_records(run)
    assert len(records) > 20, run.log
    for record in records:
        assert SECRET not in record
    for words in LOGGED:
        assert any(words in record for record in records), words
    assert SECRET not in str(dict(run.stats))
    assert SECRET not in run.output
    for file in (crawl.job / "report").iterdir():
        assert SECRET not in file.read_text(encoding="utf-8"), file
    for words in SHOWN:
        assert SECRET not in called(t8, crawl.job, *words), words
    with open_dead_letters(crawl.job) as box:
        letters = [str(letter.id) for letter in box.list()]
    assert letters, "how many requests are given up before the host counts as down is a matter of chance"
    assert SECRET not in called(t8, crawl.job, "failed", "show", *letters)
    assert SECRET in called(t8, crawl.job, "failed", "show", "--secrets", *letters)


def test_what_is_asked_for_again_keeps_its_secrets(crawl: Crawl) -> None:
    crawl.run("leaky", SPIDER_MODULES="leaky", T8_BREAKER_FAILURES=0)
    assert crawl.site is not None
    again = [hit.path for hit in crawl.site.hits if hit.path.startswith("/flaky-1/")]
    assert len(again) == 2
    assert len(set(again)) == 1
    assert again[0].count(SECRET) == 6
