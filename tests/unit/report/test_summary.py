"""The closing lines of a crawl."""

from __future__ import annotations

from pathlib import Path

from scrapy_t8.report.summary import summary
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


def test_a_complete_job_has_nothing_to_say_of_that() -> None:
    text = summary(empty(), Path("job"))
    assert "without a result" not in text
    assert "T8_ACCEPT" not in text


def test_doubts_are_told() -> None:
    text = summary({**empty(), "unproven": ["T8_VALIDATOR has failed: ValueError"]}, Path("job"))
    assert "  NOT PROVEN: T8_VALIDATOR has failed: ValueError" in text
