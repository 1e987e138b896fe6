"""The same command begins a job, resumes it, or says why it does not."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from scrapy import version_info

from scrapy_t8 import read_report
from scrapy_t8.utils.times import moment
from tests.support import ledger
from tests.support.crawl import Crawl, Run
from tests.support.releases import prompt_callbacks

from .compare import Lab

pytestmark = pytest.mark.slow

ALL = Counter(json.dumps({"page": f"{kind}{number}", "size": ""}) for number in range(60) for kind in ("", "of-"))


def assert_refused(run: Run, *parts: str) -> None:
    """The exit status is 1, and exactly one line contains all of *parts*."""
    assert run.code == 1, run.log
    (line,) = re.findall(r"^.* (?:ERROR|CRITICAL): .*$", run.log, re.MULTILINE)
    for part in parts:
        assert part in line
    assert "Traceback" not in run.log
    assert "Spider opened" not in run.log


@pytest.fixture
def broken(lab: Lab) -> Crawl:
    """A job that was killed in the middle."""
    crawl = lab.crawl("simple")
    crawl.killed("page:45", T8_COMMIT_PAGES=10)
    return crawl


def test_after_a_finished_job_a_new_one_starts(lab: Lab) -> None:
    crawl = lab.crawl("simple")
    crawl.finished()
    first = crawl.state().record["id"]
    assert crawl.last.lines("A new job begins in job")
    assert crawl.lines == ALL
    crawl.finished()
    assert crawl.last.lines(f"The last job here ({first}) has finished: a new one begins")
    assert crawl.state().record["id"] != first
    assert crawl.lines == ALL


def test_a_job_that_has_finished_lately_is_kept(lab: Lab) -> None:
    """Its pages are not requested, its feed stays, and the report is the same; T8_RESUME=fresh begins anew."""
    crawl = lab.crawl("simple", T8_SKIP_FINISHED=86400)
    crawl.feeds = ("-O", "items.json")
    crawl.finished()
    first, feed, pages = crawl.state().record, (crawl.work / "items.json").read_bytes(), len(crawl.pages)
    for _ in range(2):
        crawl.finished()
        assert crawl.last.lines(f"The job {first['id']} has finished already")
        assert moment(first["ended"] + 86400).isoformat() == read_report(crawl.job)["job"]["kept_until"]
        assert crawl.last.stats["t8/verdict"] == "complete"
        state = crawl.state().record
        assert (state["id"], state["ended"], state["finished"]) == (first["id"], first["ended"], True)
    assert len(crawl.pages) == pages
    assert (crawl.work / "items.json").read_bytes() == feed
    crawl.finished(T8_SKIP_FINISHED=0)
    assert crawl.state().record["id"] != first["id"]
    second = crawl.state().record["id"]
    crawl.finished(T8_RESUME="fresh")
    assert crawl.state().record["id"] != second
    assert len(crawl.pages) == 3 * pages


def test_a_signal_says_that_the_verdict_is_there(lab: Lab) -> None:
    """All statistics are there then: those of Scrapy, of the report, and of all runs of the job."""
    crawl = lab.crawl("monitored", T8_JOB_STATS=True)
    crawl.stopped("page:30")
    crawl.finished()
    first, second = (json.loads(line) for line in (crawl.work / "heard").read_text().splitlines())
    assert (first[0], first[1], first[4]) == ("incomplete", "incomplete", "shutdown")
    assert second == ["complete", "complete", 120, 120, "finished"]


def test_without_jobdir_other_arguments_have_another_directory(lab: Lab) -> None:
    crawl = lab.crawl("simple", JOBDIR="")
    for tag in ("red", "blue"):
        crawl.stopped("page:30", tag=tag)
    for tag in ("red", "blue"):
        run = crawl.run(tag=tag)
        assert (run.code, run.reason) == (0, "finished"), run.log
        assert len(run.lines("Resuming")) == 1
    names = sorted(path.name for path in (crawl.work / ".scrapy/t8").iterdir())
    assert len(names) == 2
    assert all(re.fullmatch("simple-[0-9a-f]{16}", name) for name in names)


def test_a_stopped_job_is_resumed_and_says_so(lab: Lab) -> None:
    """When and how the last run ended, and what is left. Traps 1, 2, 4, 5, 18."""
    crawl = lab.crawl("simple")
    crawl.stopped("page:30")
    (left,) = crawl.query("SELECT count(*) FROM entry")[0]
    crawl.killed("page:30", T8_COMMIT_PAGES=1)
    (line,) = crawl.last.lines("Resuming")
    assert re.search(rf"Resuming job_\w+ in job: run 1 ended [\d-]+ [\d:]+ \(shutdown\)\. {left} requests to do$", line)
    # It goes on at once: there is no beat of the engine's heart to wait for.
    crawl.finished(switch="no heartbeat")
    (line,) = crawl.last.lines("Resuming")
    message = re.search(r"run 2 ended [\d-]+ [\d:]+ \(died\)\. (\d+) requests to do, (\d+) of them in flight", line)
    assert message
    assert 0 < int(message[1]) < 120
    # In flight are the downloads, the callbacks that run, and what has settled since the last commit.
    # Scrapy before 2.18 holds each response for 0.1 s, so more of them are in flight.
    assert 0 < int(message[2]) < (40 if version_info >= (2, 18) else 60)
    assert crawl.lines == ALL


def test_killed_while_it_closes(broken: Crawl) -> None:
    """The scheduler is closed before the feeds are: what was done counts, in both. Trap 17."""
    broken.killed("closed")
    broken.finished()
    is_through = bool(broken.last.lines(" 0 requests to do"))
    assert bool(broken.last.lines("Nothing is left to do: this run only finishes the job")) == is_through
    assert broken.lines == ALL


def test_killed_while_it_reports(lab: Lab) -> None:
    """The job has finished, and its report is not written yet: no new job begins before it is."""
    crawl = lab.crawl("monitored")
    crawl.killed("reported")
    first = crawl.state().record["id"]
    crawl.finished()
    assert crawl.last.lines("Nothing is left to do: this run only finishes the job. The next run begins a new job")
    assert crawl.state().record["id"] == first
    assert crawl.last.stats["t8/verdict"] == "complete"
    assert crawl.lines == ALL
    assert Counter(crawl.pages) == Counter(f"{kind}{number}" for number in range(60) for kind in ("", "of-"))
    crawl.finished()
    assert crawl.last.lines(f"The last job here ({first}) has finished: a new one begins")


def test_a_job_killed_while_it_reports_stands_in_the_way_of_no_other(lab: Lab) -> None:
    crawl = lab.crawl("monitored")
    crawl.killed("reported")
    crawl.finished(tag="red")
    assert crawl.last.lines("has finished: a new one begins")


@prompt_callbacks
def test_stopped_again_and_again(lab: Lab) -> None:
    """The limits of Scrapy's closespider extension count for each run by itself. Trap 19."""
    crawl = lab.crawl("simple", CLOSESPIDER_ITEMCOUNT=45)
    reasons = [crawl.run().reason for _ in range(3)]
    assert reasons == ["closespider_itemcount", "closespider_itemcount", "finished"]
    assert crawl.lines == ALL
    crawl.check_ledger()


def test_other_arguments(lab: Lab) -> None:
    """Refused, with the difference and the two ways on; both of them work."""
    crawls = [lab.crawl("simple") for _ in range(2)]
    for crawl in crawls:
        crawl.killed("page:45")
    going_on, anew = crawls
    before = ledger.content(going_on.state_file)
    assert_refused(going_on.run(tag="b"), "tag was None, is 'b'", "T8_RESUME=continue", "T8_RESUME=fresh", "JOBDIR")
    assert ledger.content(going_on.state_file) == before
    run = going_on.run(tag="b", T8_RESUME="continue", end="stop:page:55")
    assert (run.code, run.reason) == (0, "shutdown")
    # From then on it is the one with these arguments.
    assert_refused(going_on.run(), "tag was 'b', is None")
    assert going_on.run(tag="b").reason == "finished"
    assert going_on.lines == ALL
    going_on.check_ledger()
    old = anew.state().record["id"]
    assert anew.run(tag="b", T8_RESUME="fresh").reason == "finished"
    assert anew.last.lines(f"the unfinished job {old} is given up")
    assert anew.state().record["id"] != old
    assert anew.lines == ALL
    assert sum(page == "0" for page in anew.pages) == 2
    anew.check_ledger()


def test_arguments_that_differ_in_each_run(lab: Lab) -> None:
    """Those of a platform, and those that the settings name, tell no jobs apart."""
    crawl = lab.crawl("simple", T8_IGNORED_ARGUMENTS=["night"])
    crawl.killed("page:45", _job="a1", night="Monday")
    run = crawl.run(_job="b2", _version="7", night="Tuesday", end="stop:page:55")
    assert (run.code, run.reason) == (0, "shutdown")
    assert_refused(crawl.run(_job="c3", tag="b"), "arguments: tag was None, is 'b'. To go on")
    crawl.finished(night="Wednesday")
    assert crawl.lines == ALL


def test_another_spider(lab: Lab, broken: Crawl) -> None:
    before = ledger.content(broken.state_file)
    other = lab.crawl("other", JOBDIR=str(broken.job))
    assert_refused(other.run(), "begun with spider 'simple', not 'other'", "T8_RESUME=continue", "T8_RESUME=fresh")
    assert ledger.content(broken.state_file) == before
    broken.finished()
    assert broken.lines == ALL


def test_fresh_gives_up_an_unfinished_job(broken: Crawl) -> None:
    broken.finished(T8_RESUME="fresh")
    assert broken.lines == ALL
    assert Counter(broken.pages)["0"] == 2


def test_without_a_job_directory(lab: Lab) -> None:
    """The job lives with Scrapy's other data, by the name of the spider."""
    crawl = lab.crawl("simple", JOBDIR="")
    crawl.killed("page:45")
    assert (crawl.work / ".scrapy" / "t8" / "simple" / "t8" / "state.db").exists()
    run = crawl.run()
    assert run.reason == "finished"
    assert run.lines("Resuming")
    assert crawl.lines == ALL


def test_without_a_project_file(lab: Lab) -> None:
    """As deployed: the settings are named by the environment, and there is no scrapy.cfg."""
    crawl = lab.crawl("simple", JOBDIR="")
    (crawl.work / "scrapy.cfg").unlink()
    run = crawl.run(variables={"SCRAPY_SETTINGS_MODULE": "settings"})
    assert run.reason == "finished", run.log
    assert crawl.lines == ALL


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("T8_COMIT_INTERVAL", "1", "did you mean T8_COMMIT_INTERVAL?"),
        ("T8_SOMETHING", "1", "T8_SOMETHING"),
        ("T8_COMMIT_INTERVAL", "soon", "T8_COMMIT_INTERVAL is 'soon'"),
        ("T8_COMMIT_INTERVAL", "0", "above 0"),
        ("T8_COMMIT_PAGES", "1.5", "T8_COMMIT_PAGES"),
        ("T8_DURABILITY", "maybe", "process, power"),
        ("T8_ALLOW_PICKLE", "perhaps", "true or false"),
        ("T8_RESUME", "yes", "auto, continue, fresh"),
    ],
)
def test_bad_settings(lab: Lab, setting: str, value: str, message: str) -> None:
    """One line that names the setting, exit status 1, and nothing is made."""
    crawl = lab.crawl("simple", **{setting: value})
    assert_refused(crawl.run(), setting, message)
    assert not crawl.state_file.exists()
