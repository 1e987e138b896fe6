"""A job that an earlier run has left to be finished is finished, and the same run crawls the next one."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timezone

import pytest

from tests.support.crawl import Crawl
from tests.support.process import wait_until

from .compare import Lab
from .test_jobs import ALL

pytestmark = pytest.mark.slow

LATER = {"switch": "an hour later"}
FINISHES = "Nothing is left to do: this run only finishes the job"
BEGINS_ANEW = "Nothing is left to do: this run finishes the job, and begins a new job then"


def die_before_the_end(crawl: Crawl) -> str:
    """Leave the state of a run that has done all work, and was killed before its end. Return the id of the job."""
    crawl.finished()
    with sqlite3.connect(crawl.state_file) as db:
        db.execute("UPDATE job SET record = json_set(record, '$.finished', json('false'), '$.ended', 0.0)")
        db.execute("UPDATE run SET ended = NULL, reason = NULL")
    db.close()
    return str(crawl.state().record["id"])


def test_the_next_crawl_finishes_the_job_and_crawls(lab: Lab) -> None:
    crawl = lab.crawl("simple")
    first = die_before_the_end(crawl)
    pages = len(crawl.pages)
    crawl.finished(**LATER)
    assert crawl.last.lines(BEGINS_ANEW)
    assert crawl.last.lines(f"Integrity report of {first}: COMPLETE")
    assert crawl.last.lines(f"The last job here ({first}) has finished: a new one begins")
    assert crawl.state().record["id"] != first
    assert len(crawl.pages) == 2 * pages
    assert crawl.lines == ALL


def test_the_feed_of_the_old_job_is_whole_and_the_new_job_has_its_own(lab: Lab) -> None:
    crawl = lab.crawl("simple")
    crawl.feeds = ("-O", "%(time)s.json")
    die_before_the_end(crawl)
    (old,) = crawl.work.glob("*.json")
    old.unlink()
    # The time in the name of a feed has no parts of a second.
    wait_until(lambda: datetime.now(timezone.utc).strftime("%Y-%m-%dT%H-%M-%S") not in old.name, "another second")
    crawl.finished(**LATER)
    assert crawl.last.lines(BEGINS_ANEW)
    feeds = list(crawl.work.glob("*.json"))
    assert len(feeds) == 2
    assert old in feeds
    assert [len(json.loads(feed.read_text())) for feed in feeds] == [ALL.total()] * 2


def test_a_restart_only_finishes_the_job(lab: Lab) -> None:
    """What restarts a process that has died is no daily crawl: nothing is crawled twice."""
    crawl = lab.crawl("simple")
    first = die_before_the_end(crawl)
    pages = len(crawl.pages)
    crawl.finished()
    assert crawl.last.lines(FINISHES)
    assert crawl.state().record["id"] == first
    assert len(crawl.pages) == pages


def test_a_job_that_is_to_be_kept_only_finishes(lab: Lab) -> None:
    """The job has finished when its work was done, not when a later run has written that down."""
    crawl = lab.crawl("simple", T8_SKIP_FINISHED=5000)
    first = die_before_the_end(crawl)
    last_commit = crawl.state().last_commit
    crawl.finished(**LATER)
    assert crawl.last.lines(FINISHES)
    record = crawl.state().record
    assert (record["id"], record["ended"]) == (first, last_commit)
    crawl.finished(T8_SKIP_FINISHED=3000, **LATER)
    assert crawl.state().record["id"] != first


def test_a_script_only_finishes_the_job(lab: Lab) -> None:
    """Nobody can say what a script does next, so its crawl is one crawl."""
    crawl = lab.crawl("simple")
    first = die_before_the_end(crawl)
    pages = len(crawl.pages)
    crawl.script = ("scripts/simple_again.py",)
    run = crawl.run(**LATER)
    assert run.code == 0, run.log
    assert run.lines(FINISHES)
    assert crawl.state().record["finished"]
    assert crawl.state().record["id"] == first
    assert len(crawl.pages) == pages


def test_an_old_job_that_is_incomplete_counts_for_the_exit_status(lab: Lab) -> None:
    crawl = lab.crawl("simple", T8_EXIT_STATUS=True)
    die_before_the_end(crawl)
    with sqlite3.connect(crawl.state_file) as db:
        db.execute("UPDATE job SET record = json_set(record, '$.doubt', 'a part is lost')")
    db.close()
    run = crawl.run(**LATER)
    assert run.lines(BEGINS_ANEW)
    assert run.code == 3
    assert run.stats["t8/verdict"] == "complete"


def test_killed_between_the_old_job_and_the_new_one(lab: Lab) -> None:
    """The restart finishes the old job once more; the crawl after it begins the new one. No item is there twice."""
    crawl = lab.crawl("monitored")
    first = die_before_the_end(crawl)
    pages = len(crawl.pages)
    crawl.killed("reported", **LATER)
    crawl.finished(**LATER)
    assert crawl.last.lines(FINISHES)
    assert crawl.state().record["id"] == first
    assert (len(crawl.pages), crawl.lines) == (pages, ALL)
    crawl.finished(**LATER)
    assert crawl.last.lines(f"The last job here ({first}) has finished: a new one begins")
    assert (len(crawl.pages), crawl.lines) == (2 * pages, ALL)
