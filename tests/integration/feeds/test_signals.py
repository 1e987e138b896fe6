"""Signals, statistics and log lines of feeds."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.crawl import Run

from .conftest import Snapshots
from .crawls import TIME
from .feed_options import CONTINUED, FEEDS

pytestmark = pytest.mark.slow

SLOT_FILE_THERE = 4


def closed_slots(run: Run) -> Counter[tuple[object, ...]]:
    """The slots that ``feed_slot_closed`` was sent for: template, URI, batch, items."""
    return Counter(
        (template, TIME.sub("#", uri), batch, items) for template, uri, batch, items, _ in run.stats["test/slots"]
    )


def test_each_file_is_signalled_once_as_in_plain_scrapy(plain: Snapshots, undisturbed: Snapshots) -> None:
    assert closed_slots(undisturbed.runs[0]) == closed_slots(plain.runs[0])
    assert [run.stats["test/closed"] for run in (plain.runs[0], undisturbed.runs[0])] == [1, 1]


def test_a_file_exists_when_it_is_signalled(undisturbed: Snapshots, stopped: Snapshots) -> None:
    for run in (*undisturbed.runs, *stopped.runs):
        assert all(slot[SLOT_FILE_THERE] is not False for slot in run.stats["test/slots"])


def test_successes_are_counted_as_in_plain_scrapy(plain: Snapshots, undisturbed: Snapshots) -> None:
    def successes(run: Run) -> dict[str, int]:
        return {name: count for name, count in run.stats.items() if name.startswith("feedexport/")}

    assert successes(undisturbed.runs[0]) == successes(plain.runs[0])
    assert successes(plain.runs[0])["feedexport/success_count/FileFeedStorage"] > len(FEEDS)


def test_a_full_batch_is_signalled_once_in_all_runs(stopped: Snapshots) -> None:
    full = Counter(
        (template, batch)
        for run in stopped.runs
        for template, _, batch, items, _ in run.stats["test/slots"]
        if template in CONTINUED and items == CONTINUED[template].get("batch_item_count")
    )
    assert set(full.values()) == {1}
    assert len([1 for template, _ in full if template.startswith("seven-%(batch_id)d")]) == 97 // 7


def test_no_errors_are_logged(undisturbed: Snapshots, stopped: Snapshots, killed: Snapshots) -> None:
    for run in (*undisturbed.runs, *stopped.runs, *killed.runs):
        assert run.at("ERROR") == run.at("CRITICAL") == []
        assert "Traceback" not in run.log
