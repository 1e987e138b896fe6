"""What the feeds tell while they are written: signals, statistics, log lines."""

from __future__ import annotations

from collections import Counter

import pytest

from .conftest import Ways
from .crawls import TIME, Crawled
from .menu import CONTINUED, FEEDS

pytestmark = pytest.mark.slow

SLOT_FILE_THERE = 4


def told(run: Crawled) -> Counter[tuple[object, ...]]:
    """The slots that ``feed_slot_closed`` was sent for: template, URI, batch, items."""
    return Counter((template, TIME.sub("#", uri), batch, items) for template, uri, batch, items, _ in run.told["slots"])


def test_each_file_is_told_once_as_in_plain_scrapy(plain: Ways, undisturbed: Ways) -> None:
    assert told(undisturbed.runs[0]) == told(plain.runs[0])
    assert [run.told["closed"] for run in (plain.runs[0], undisturbed.runs[0])] == [1, 1]


def test_it_is_there_when_it_is_told(undisturbed: Ways, stopped: Ways) -> None:
    for run in (*undisturbed.runs, *stopped.runs):
        assert all(slot[SLOT_FILE_THERE] is not False for slot in run.told["slots"])


def test_successes_are_counted_as_in_plain_scrapy(plain: Ways, undisturbed: Ways) -> None:
    def successes(run: Crawled) -> dict[str, int]:
        return {name: count for name, count in run.stats.items() if name.startswith("feedexport/")}

    assert successes(undisturbed.runs[0]) == successes(plain.runs[0])
    assert successes(plain.runs[0])["feedexport/success_count/FileFeedStorage"] > len(FEEDS)


def test_a_full_batch_is_told_once_in_all_runs(stopped: Ways) -> None:
    full = Counter(
        (template, batch)
        for run in stopped.runs
        for template, _, batch, items, _ in run.told["slots"]
        if template in CONTINUED and items == CONTINUED[template].get("batch_item_count")
    )
    assert set(full.values()) == {1}
    assert len([1 for template, _ in full if template.startswith("seven-%(batch_id)d")]) == 97 // 7


def test_nothing_goes_wrong(undisturbed: Ways, stopped: Ways, killed: Ways) -> None:
    for run in (*undisturbed.runs, *stopped.runs, *killed.runs):
        assert run.lines("ERROR") == run.lines("CRITICAL") == []
        assert "Traceback" not in run.log
