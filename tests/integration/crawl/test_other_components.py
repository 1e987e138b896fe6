"""Several crawlers in a process, other reactors, other features of Scrapy, and components of the project."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.crawl import Crawl

from .compare import Lab
from .test_jobs import assert_refused

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["async", "deferred", "reactorless"])
def test_several_crawlers(lab: Lab, kind: str) -> None:
    """Each has its own job; killed together, both go on. Trap 34."""
    crawl = lab.script("two_spiders", kind, "apart")
    # Whichever page that is: at a kill any other one may have been committed.
    crawl.killed("page of two:3")
    crawl.killed("page of one:2")
    run = crawl.run()
    assert run.code == 0, run.log
    assert not run.complaints, run.complaints
    assert len(run.lines("Resuming")) == 2
    for spider in ("one", "two"):
        assert _feed(crawl, spider) == _all_of(spider)


@pytest.mark.parametrize("kind", ["async", "deferred"])
def test_several_crawlers_in_one_directory(lab: Lab, kind: str) -> None:
    """The second has a directory of its own in the JOBDIR, in each run, and both resume there."""
    crawl = lab.script("two_spiders", kind, "same")
    crawl.killed("page of two:3")
    run = crawl.run()
    assert run.code == 0, run.log
    assert not run.complaints, run.complaints
    assert len(run.lines("Several crawls share the JOBDIR job: the job of this crawl is in job/two")) == 1
    assert len(run.lines("Resuming")) == 2
    for spider in ("one", "two"):
        assert _feed(crawl, spider) == _all_of(spider)


def test_without_a_reactor(lab: Lab) -> None:
    """From the command line, too. Trap 34."""
    lab.compare("patient", ("start 2", "item 2"), TWISTED_REACTOR_ENABLED="False")


def test_a_reactor_without_asyncio(lab: Lab) -> None:
    crawl = lab.crawl("simple", TWISTED_REACTOR="twisted.internet.selectreactor.SelectReactor")
    assert_refused(crawl.run(), "TWISTED_REACTOR", "asyncio")


def test_a_scrapy_without_a_private_name(lab: Lab) -> None:
    """What T8 stands on is missing: it says so, and does not begin."""
    crawl = lab.script("changed_scrapy", "simple", JOBDIR="job")
    assert_refused(crawl.run(), "_handle_downloader_output", "Scrapy 2.")


def test_features(lab: Lab) -> None:
    """HTTP cache, robots.txt, AutoThrottle, statistics that the spider has set."""
    lab.compare("featured", ("forbidden", "p/6/more"))


def test_files(lab: Lab) -> None:
    """A page is not done before its items have their files. Trap 6."""
    # Twice at the same page, which cannot have settled in between; another may have.
    comparison = lab.compare("files", ("p/3", "files of p/2", "files of p/2"))
    assert len(list(Path(comparison.broken[0].work, "files", "full").iterdir())) == 12


def test_own_dupefilter(lab: Lab) -> None:
    """It stays, with a warning; replayed pages do not bring their requests twice all the same."""
    comparison = lab.compare("unfiltered", ("p/1/2:2", "p/1/2/1:2", "p/1/1/2:3"))
    (line,) = comparison.calm.last.lines("DUPEFILTER_CLASS is set to")
    assert "WARNING" in line


def test_own_scheduler(lab: Lab) -> None:
    """It stays, and T8 is off: with a warning, and without leaving anything behind."""
    crawl = lab.crawl("scheduled", JOBDIR="")
    run = crawl.run()
    assert (run.code, run.reason) == (0, "finished")
    (line,) = run.lines("OwnScheduler")[:1]
    assert "WARNING" in line
    assert "will not survive a kill" in line
    assert len(crawl.lines) == 1
    assert not (crawl.work / ".scrapy").exists()


def test_every_component_by_hand(lab: Lab) -> None:
    """No add-on: the components are named in the settings."""
    plain = lab.crawl("again", t8=False)
    crawl = lab.crawl("again")
    crawl.use_settings("settings_by_hand")
    crawl.killed("mother 1")
    crawl.finished()
    plain.finished()
    assert crawl.lines == plain.lines
    crawl.check_ledger()


def _feed(crawl: Crawl, spider: str) -> Counter[str]:
    feed = crawl.work / f"items-{spider}.jsonl"
    return Counter(feed.read_text().splitlines() if feed.exists() else [])


def _all_of(spider: str) -> Counter[str]:
    pages = [page for number in range(8) for page in (f"slow/30/{spider}/{number}", f"p/{spider}/of-{number}")]
    return Counter(f'{{"page": "{page}"}}' for page in pages)


@pytest.mark.parametrize(
    ("name", "value", "culprit"),
    [
        ("FEED_URI_PARAMS", "raising.uri_params", "raising.uri_params"),
        ("DUPEFILTER_CLASS", "raising.Filter", "raising.Filter.request_seen"),
        ("REQUEST_FINGERPRINTER_CLASS", "raising.Fingerprinter", "raising.Fingerprinter.fingerprint"),
    ],
)
def test_a_component_of_the_project_that_raises_is_named(lab: Lab, name: str, value: object, culprit: str) -> None:
    """The exception ends the crawl, because the loss would be unknown. The log asks for no bug report on scrapy_t8."""
    run = lab.crawl("simple", **{name: value}).run()
    assert any(culprit in line for line in run.complaints), run.log
    assert "bug of scrapy_t8" not in run.log
    assert run.stats.get("t8/verdict") != "complete"
