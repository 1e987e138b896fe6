"""The closing lines of a crawl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.report.summary import feed_lines, summary
from tests.support.reports import SHOP, empty, rich, without_result

CAUSES = '"status:404", "failure:network", "ignored:shop.middlewares.Stock"'


def test_requests_without_a_result_are_grouped_with_what_can_be_done() -> None:
    lines = summary({**rich(), "without_result": without_result()}, Path("jobs/my cars")).splitlines()
    at = lines.index("  246 without a result:")
    assert lines[at + 1 : at + 6] == [
        "    11 failure:network",
        f"    235 ignored:shop.middlewares.Stock in parse_car (404 Not Found): {SHOP}/sold, {SHOP}/gone, ...",
        "    try again: scrapy t8 failed revive --jobdir 'jobs/my cars', then the same crawl",
        f"    accept these causes, in settings.py: T8_ACCEPT = [{CAUSES}]",
        "  accepted without a result: 34 status:404",
    ]


def test_one_missing_item_is_named_in_the_singular_with_its_cause() -> None:
    document = {**empty(), "verdict": "incomplete"}
    document["ledger"]["expected"] = {"expected": 3, "collected": 2, "missing": 1, "difference": 0}
    cause = {"cause": "dead", "detail": "host: 500 Internal Server Error", "count": 1, "accepted": False}
    document["missing"] = {"count": 1, "causes": [{**cause, "examples": [{"key": "7"}]}]}
    lines = summary(document, Path("job")).splitlines()
    assert lines[1:3] == [
        "  2 of 3 expected items are there, 1 is missing",
        "    1 given up, host: 500 Internal Server Error: 7",
    ]


def test_a_complete_job_has_nothing_to_say_of_that() -> None:
    text = summary(empty(), Path("job"))
    assert "without a result" not in text
    assert "T8_ACCEPT" not in text


@pytest.mark.parametrize(
    ("left", "finished", "running", "line"),
    [
        (0, True, False, "this job has finished, so the same command alone begins a new one"),
        (47, False, False, "the same command continues this job: 47 requests are left"),
        (1, False, False, "the same command continues this job: 1 request is left"),
        (0, False, False, "the same command finishes this job"),
        (47, False, True, ""),
    ],
)
def test_the_last_line_says_what_the_same_command_does(left: int, finished: bool, running: bool, line: str) -> None:
    document = {**empty(), "verdict": "incomplete", "running": running}
    document["job"]["finished"], document["ledger"]["requests"]["waiting"] = finished, left
    lines = summary(document, Path("job")).splitlines()
    assert ([] if not line else [f"  next: {line}"]) == [text for text in lines if text.startswith("  next:")]


@pytest.mark.parametrize(
    ("made", "begins"), [("2026-11-28T10:00:00+00:00", False), ("2026-11-28T12:00:00+00:00", True)]
)
def test_within_the_time_of_skip_finished_the_same_command_requests_nothing(made: str, begins: bool) -> None:
    document = {**empty(), "verdict": "incomplete", "generated": made}
    document["job"] |= {"finished": True, "kept_until": "2026-11-28T11:00:00+00:00"}
    text = summary(document, Path("job"))
    assert ("begins a new one" in text) == begins
    assert ("T8_SKIP_FINISHED" in text) != begins


def test_after_a_complete_job_there_is_nothing_to_say() -> None:
    document = {**empty(), "verdict": "complete", "running": False}
    document["job"]["finished"] = True
    assert "next:" not in summary(document, Path("job"))


def test_doubts_are_told() -> None:
    text = summary({**empty(), "unproven": ["T8_VALIDATOR has failed: ValueError"]}, Path("job"))
    assert "  NOT PROVEN: T8_VALIDATOR has failed: ValueError" in text


OTHERS = "It holds 7 bytes that other programs have written"


def feed(**more: Any) -> dict[str, Any]:
    nothing = {"missing": 0, "lost": 0, "batches": 0, "refused": {}, "altered": 0, "foreign": 0}
    return {"uri": "cars.jsonl", "doubts": ["x"], **nothing, **more}


@pytest.mark.parametrize(
    ("doubt", "line"),
    [
        ({"foreign": 1200}, "holds 1,200 bytes that other programs have written"),
        ({"altered": 3}, "holds 3 items with a value kept as text"),
        ({"missing": 2, "lost": 2}, "lacks 2 items: 2 lost"),
        (
            {"missing": 8, "lost": 2, "refused": {"Csv: KeyError": 4}, "foreign": 7},
            "lacks 8 items: 2 lost; 4 not taken (Csv: KeyError); 2 exported when it was not named. " + OTHERS,
        ),
    ],
)
def test_a_feed_that_is_in_doubt_has_one_line(doubt: dict[str, Any], line: str) -> None:
    assert list(feed_lines([feed(**doubt)])) == [f"  FEED cars.jsonl {line}"]


def test_a_feed_whose_loss_is_accepted_has_a_line() -> None:
    assert list(feed_lines([feed(missing=172, lost=172, doubts=[])])) == [
        "  accepted: feed cars.jsonl lacks 172 items: 172 lost"
    ]


def test_a_feed_that_is_not_in_doubt_has_no_line() -> None:
    assert not list(feed_lines([{**feed(), "doubts": []}]))


def test_requests_that_are_left_on_purpose_have_a_line_and_are_no_doubt() -> None:
    document = {**empty(), "left": {"count": 1200, "reason": "enough"}}
    row = {"cause": "left:enough", "count": 1200, "dead": 0, "accepted": True, "errors": [], "examples": []}
    document["without_result"] = {**document["without_result"], "accepted": 1200, "causes": [row]}
    text = summary(document, Path("job"))
    assert "  1,200 requests were left on purpose: close reason 'enough'" in text.splitlines()
    assert "accepted without a result" not in text
