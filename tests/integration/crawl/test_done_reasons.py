"""A close reason of T8_DONE_REASONS ends the job: what was never tried is left on purpose, what was tried is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.crawl import Crawl
from tests.support.releases import prompt_callbacks

from .compare import Lab

pytestmark = pytest.mark.slow

WAITS = {"T8_RETRY_BASE": 600.0, "T8_RETRY_JITTER": 0.0}
"""Settings with which a page that has failed waits longer than the crawl lasts."""
FIRST = ["p/0", "p/1", "p/2", "p/3"]


def report_of(crawl: Crawl) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((crawl.job / "report/report.json").read_text())
    return document


def ends_complete(crawl: Crawl, **options: Any) -> None:
    """Run until the spider closes itself, and check that the job has finished and is complete."""
    run = crawl.run(**options)
    crawl.check_ledger()
    assert run.stats["t8/verdict"] == "complete", run.log[-3000:]
    assert not run.complaints


@prompt_callbacks
@pytest.mark.parametrize("switch", ["enough", "engine"])
def test_the_job_has_finished_and_the_next_run_begins_a_new_one(lab: Lab, switch: str) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["enough"])
    ends_complete(crawl, switch=switch)
    assert crawl.last.reason == "enough"
    first, left = crawl.state().record, crawl.state().record["left"]
    assert left
    assert first["left_for"] == "enough"
    report = report_of(crawl)
    assert report["left"] == {"count": left, "reason": "enough"}
    assert report["ledger"]["requests"]["discarded"] == left
    assert crawl.last.lines(f"{left} requests were left on purpose: close reason 'enough'")
    # The page that has closed the crawl is done, with its items, and so is what was in flight.
    assert sorted(crawl.values("page").elements()) == sorted(crawl.pages)
    assert set(FIRST) <= set(crawl.pages)
    before = len(crawl.pages)
    crawl.finished()
    assert crawl.state().record["id"] != first["id"]
    assert crawl.state().record["left"] == 0
    assert len(crawl.pages) == before + 10
    assert set(crawl.values("page").values()) == {1}


def test_the_spider_names_reasons_as_well(lab: Lab) -> None:
    crawl = lab.crawl("daily")
    ends_complete(crawl, switch="other")
    assert crawl.state().record["left_for"] == "seen"


def test_limits_of_scrapy_are_reasons_as_well(lab: Lab) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["closespider_itemcount"], CLOSESPIDER_ITEMCOUNT=3)
    ends_complete(crawl)
    assert len(crawl.items) >= 3


def test_any_other_reason_leaves_the_job_open(lab: Lab) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["no_more"])
    run = crawl.run(switch="enough")
    assert (run.reason, run.stats["t8/verdict"]) == ("enough", "incomplete")
    assert not crawl.state().record["finished"]
    assert crawl.state().ready + crawl.state().waiting
    crawl.finished()
    assert crawl.pages.count("p/3") == 2
    assert set(crawl.values("page").values()) == {1}


@prompt_callbacks
def test_what_was_tried_is_not_left_on_purpose(lab: Lab) -> None:
    """The job has finished, but a page that waits for a retry is no page that nobody wanted."""
    crawl = lab.crawl("daily", T8_DONE_REASONS=["enough"], **WAITS)
    run = crawl.run(switch="enough,failing")
    assert run.stats["t8/verdict"] == "incomplete"
    state, report = crawl.state(), report_of(crawl)
    assert state.record["finished"]
    assert (state.ready, state.waiting, state.difference) == (0, 1, 0)
    assert report["left"]["count"] == state.record["left"] > 0
    assert report["waiting"]["count"] == 1


def test_a_job_that_has_finished_so_is_kept(lab: Lab) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["enough"], T8_SKIP_FINISHED=86400)
    ends_complete(crawl, switch="enough")
    first, pages = crawl.state().record, crawl.pages
    for _ in range(2):
        ends_complete(crawl, switch="enough")
        record = crawl.state().record
        assert (record["id"], record["left"], record["ended"]) == (first["id"], first["left"], first["ended"])
        assert crawl.pages == pages


@prompt_callbacks
def test_expected_items_of_pages_that_are_left_are_not_missing(lab: Lab) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["enough"], T8_ITEM_KEY="page")
    ends_complete(crawl, switch="enough,expecting")
    report = report_of(crawl)
    (cause,) = report["missing"]["causes"]
    assert (cause["cause"], cause["detail"], cause["accepted"]) == ("left", "enough", True)


@prompt_callbacks
def test_requests_that_run_from_memory_are_left_and_their_page_keeps_its_items(lab: Lab) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["enough"])
    run = crawl.run(switch="enough,lambda")
    crawl.check_ledger()
    assert run.stats["t8/verdict"] == "complete", run.log[-3000:]
    assert crawl.values("page")["p/2"] == 1
    assert crawl.state().record["left"] >= 3


def test_a_start_that_fails_keeps_the_job_open(lab: Lab) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["enough"])
    run = crawl.run(switch="enough,start")
    assert (run.reason, run.stats["t8/verdict"]) == ("enough", "incomplete")
    assert run.lines("start() fails")
    assert not crawl.state().record["finished"]


def test_a_kill_and_a_signal_leave_the_job_open(lab: Lab) -> None:
    crawl = lab.crawl("daily", T8_DONE_REASONS=["enough"])
    crawl.stopped("early", switch="enough")
    assert not crawl.state().record["finished"]
    assert crawl.state().record["left"] == 0
    crawl.killed("enough", switch="enough")
    ends_complete(crawl, switch="enough")
    assert set(crawl.values("page").values()) == {1}


@pytest.mark.parametrize("reasons", [5, [5], [""], ["shutdown"], ["t8_store_failed"]], ids=repr)
def test_a_setting_that_cannot_be_is_refused(lab: Lab, reasons: Any) -> None:
    run = lab.crawl("daily", T8_DONE_REASONS=json.dumps(reasons)).run()
    assert run.code == 1
    assert run.lines("T8_DONE_REASONS ha") or run.lines("T8_DONE_REASONS is")
    assert "Traceback" not in run.log
