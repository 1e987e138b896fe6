"""Requests without a result are named by cause, and only a job that is proven to be complete ends with 0."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from typing import Any

import pytest

from scrapy_t8 import read_report
from tests.support.releases import prompt_callbacks

from .compare import Lab

pytestmark = pytest.mark.slow

PROVE = {"T8_EXIT_STATUS": "1"}
EVERYTHING = "ignored swallowed loop gone memory items"
MODULE = "spiders.without_result"
CAUSES = {
    f"ignored:{MODULE}.Stock": (2, 0),
    "swallowed:LookupError": (1, 0),
    "redirects": (1, 0),
    "status:404": (3, 3),
    "status:410": (1, 1),
    "status:503": (1, 1),
    "failure:parse": (1, 1),
    "failure:pipeline": (1, 1),
    "item:Prices": (1, 0),
    "item:unknown": (1, 0),
}
"""How many there are of each, and how many of these are dead letters."""


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def line_for_settings(log: str) -> list[str]:
    (line,) = (line for line in log.splitlines() if "T8_ACCEPT = " in line)
    found: list[str] = eval(line.partition("T8_ACCEPT = ")[2])
    return found


def test_each_cause_is_named_and_the_printed_line_accepts_all(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds=EVERYTHING, **PROVE)
    run = crawl.run()
    report = read_report(crawl.job)
    rows = {row["cause"]: row for row in report["without_result"]["causes"]}
    assert {cause: (row["count"], row["dead"]) for cause, row in rows.items() if not row["accepted"]} == CAUSES
    assert (run.code, run.stats["t8/exit_status"], report["verdict"]) == (3, 3, "incomplete")
    assert run.stats["t8/without_result"] == report["without_result"]["count"] == 13
    assert run.stats[f"t8/without_result/ignored:{MODULE}.Stock"] == 2
    requests, items = report["ledger"]["requests"], report["ledger"]["items"]
    assert (requests["difference"], items["difference"], items["failed"]) == (0, 0, 3)
    assert crawl.letters().total() == requests["dead"] == 7
    (stock, _) = rows[f"ignored:{MODULE}.Stock"]["examples"]
    assert stock["url"].endswith("p/sold")
    assert stock["callback"] == "leaf"
    assert "scrapy t8 failed revive" in run.log

    accepted = line_for_settings(run.log)
    assert set(accepted) == set(CAUSES)
    again = lab.crawl("doubtful", kinds=EVERYTHING, T8_ACCEPT=accepted, **PROVE)
    run = again.run()
    report = read_report(again.job)
    assert (run.code, report["verdict"]) == (0, "complete")
    assert report["without_result"]["count"] == 0
    assert report["without_result"]["accepted"] == 13
    assert not again.letters()


def test_an_errback_is_accepted_by_name(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="gone", T8_ACCEPT=["errback:failed"], **PROVE)
    assert crawl.run().code == 3
    rows = {row["cause"]: row["accepted"] for row in read_report(crawl.job)["without_result"]["causes"]}
    assert rows == {"errback:failed": True, "status:404": False}


def test_requests_that_a_handler_of_the_signal_refuses_are_named(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="refused", **PROVE)
    assert crawl.run().code == 3
    (row,) = read_report(crawl.job)["without_result"]["causes"]
    assert (row["cause"], row["count"]) == (f"ignored:{MODULE}.Doubtful", 3)
    assert crawl.values("page") == Counter(["refuses", "p/good"])


@pytest.mark.parametrize("when", ["open", "item"])
def test_code_that_ends_the_process_with_success_proves_nothing(lab: Lab, when: str) -> None:
    crawl = lab.crawl("doubtful", kinds="harmless", ITEM_PIPELINES={f"{MODULE}.Exits": 1}, **PROVE)
    assert crawl.run(variables={"EXITS": when}).code == 3
    assert crawl.run().code == 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it was cancelled")
def test_a_callback_that_is_cancelled_has_failed(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="cancelled", **PROVE)
    run = crawl.run()
    assert (run.code, run.reason) == (3, "finished"), run.log[-3000:]
    (row,) = read_report(crawl.job)["without_result"]["causes"]
    assert (row["cause"], row["count"]) == ("failure:parse", 4)
    assert crawl.values("page") == Counter({"before": 2, "p/fine": 1})


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it was cancelled")
def test_an_errback_that_is_cancelled_is_no_result(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="errbacks", **PROVE)
    run = crawl.run()
    assert (run.code, run.reason) == (3, "finished"), run.log[-3000:]
    report = read_report(crawl.job)
    assert (report["verdict"], report["without_result"]["count"]) == ("incomplete", 6)
    assert (crawl.state().ready, crawl.state().waiting, crawl.state().difference) == (0, 0, 0)
    assert crawl.values("page")["p/fine"] == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it was cancelled")
@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_pipelines_that_are_cancelled_lose_their_items_alone(lab: Lab, at_once: int) -> None:
    crawl = lab.crawl("doubtful", kinds="pipelines", CONCURRENT_ITEMS=at_once, **PROVE)
    run = crawl.run()
    assert (run.code, run.reason) == (3, "finished"), run.log[-3000:]
    (row,) = read_report(crawl.job)["without_result"]["causes"]
    assert (row["cause"], row["count"]) == ("failure:pipeline", 1)
    assert crawl.values("page") == Counter(["p/one", "p/two", "p/fine"])
    assert len(run.lines("Prices has ended with CancelledError")) == 5


def test_what_is_harmless_leaves_a_job_complete(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="harmless", ROBOTSTXT_OBEY="1", **PROVE)
    run = crawl.finished()
    report = read_report(crawl.job)
    assert (run.code, report["verdict"]) == (0, "complete"), run.log[-3000:]
    assert report["without_result"]["filtered"]["duplicate"] > 0


@pytest.mark.parametrize(
    "where",
    [
        "callback",
        pytest.param("errback", marks=prompt_callbacks),
        pytest.param("memory", marks=prompt_callbacks),
        "last in memory",
    ],
)
def test_a_page_that_closes_the_spider_comes_again(lab: Lab, where: str) -> None:
    plain, crawl = lab.crawl("banned", t8=False, where=where), lab.crawl("banned", where=where)
    plain.run()
    assert crawl.run(switch="ban").reason == "banned"
    assert read_report(crawl.job)["verdict"] == "incomplete"
    assert not crawl.state().record["finished"]
    crawl.finished()
    assert crawl.lines == plain.lines


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({"T8_REPORT_DIR": "scrapy.cfg/report"}, "harmless"),
        ({"T8_VALIDATOR": f"{MODULE}.Raises"}, "harmless"),
        ({"T8_VALIDATOR": f"{MODULE}.Hangs", "T8_VALIDATOR_TIMEOUT": 0.2}, "harmless"),
        ({"T8_ENABLE_INTEGRITY_CHECK": False}, "gone"),
        ({"EXTENSIONS": {"scrapy_t8.T8Report": None, "tests.support.probe.StatsFile": 900}}, "harmless"),
    ],
)
def test_without_a_proof_the_exit_status_is_not_0(lab: Lab, settings: dict[str, Any], kinds: str) -> None:
    run = lab.crawl("doubtful", kinds=kinds, **settings, **PROVE).run()
    assert (run.code, run.stats["t8/exit_status"], run.reason) == (3, 3, "finished"), run.log[-3000:]
    assert "Traceback" not in run.log.partition("Closing spider")[2]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it was cancelled")
def test_a_start_that_is_cancelled_is_read_again(lab: Lab) -> None:
    crawl = lab.crawl("broken_start", **PROVE)
    assert crawl.run(switch="broken").code == 3
    assert crawl.run().code == 0
    assert crawl.values("page") == Counter(["p/1", "p/2"])


def test_without_the_scheduler_nothing_is_proven(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="harmless", SCHEDULER="scrapy.core.scheduler.Scheduler", **PROVE)
    run = crawl.run()
    assert "scrapy_t8 is disabled" in run.log
    assert run.code == 3


def test_a_state_that_is_removed_meanwhile_is_no_proof(lab: Lab) -> None:
    assert lab.crawl("removes_state", **PROVE).run().code == 3


def test_too_few_open_files_are_no_proof(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="harmless", **PROVE)
    run = crawl.run(before=limit_files)
    good = Counter(crawl.values("page")) >= Counter(["p/one", "p/two", "memory"])
    assert run.code != 0 or good


def test_a_new_job_begins_without_the_causes_of_the_last(lab: Lab) -> None:
    crawl = lab.crawl("doubtful", kinds="ignored swallowed gone")
    crawl.run()
    before = read_report(crawl.job)["without_result"]
    assert before["count"] == 7
    crawl.run(kinds="harmless")
    assert read_report(crawl.job)["without_result"]["count"] == 0
