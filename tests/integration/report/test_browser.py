"""Reports in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scrapy_t8.report.html import render
from tests.support.reports import Report, empty, hostile, rich
from tests.unit.report.test_html import numbers

if TYPE_CHECKING:
    from tests.support.browser import Chromium, Visit

pytestmark = pytest.mark.slow

SAMPLES = [empty, rich, hostile]
JOB = Path("jobs/cars")
A4 = 718
"""Pixels beside each other on a sheet of paper, without its margins."""
FIGURES = """
[...document.querySelectorAll('[data-figure]')].map(one => [one.dataset.figure, one.dataset.value, one.textContent])
"""
COLOURS = """
[getComputedStyle(document.body).backgroundColor,
 ...[...document.querySelectorAll('body, h1, .chart text, .chart rect, td')].map(
    one => getComputedStyle(one).color + getComputedStyle(one).fill)]
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Report], str]:
    return partial(written_to, tmp_path)


def written_to(directory: Path, report: Report) -> str:
    """Write the page of a report, and return its address."""
    path = directory / "report.html"
    path.write_text(render(report, JOB), encoding="utf-8", errors="backslashreplace")
    return path.as_uri()


@pytest.fixture(scope="module")
def shown(
    request: pytest.FixtureRequest, browser: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Report, Visit]]:
    """The report that the test is parametrised with, and its page, which is opened once for all tests."""
    report = request.param()
    with browser.visit(written_to(tmp_path_factory.mktemp("report"), report)) as seen:
        yield report, seen


@pytest.mark.parametrize("shown", SAMPLES, indirect=True)
def test_a_page_logs_nothing_and_loads_nothing(shown: tuple[Report, Visit]) -> None:
    _, seen = shown
    assert seen.page.get_by_role("button").count() == seen.page.locator(".command").count()
    for dark in (True, False):
        seen.colour(dark=dark)
        seen.page.screenshot(full_page=True)
        assert seen.said == []
        assert seen.asked == []
    assert seen.page.evaluate("document.scripts.length + document.images.length") == 1


@pytest.mark.parametrize("shown", SAMPLES, indirect=True)
def test_the_page_says_the_numbers_of_the_report(shown: tuple[Report, Visit]) -> None:
    report, seen = shown
    wanted = dict(numbers(report))
    figures = seen.page.evaluate(FIGURES)
    assert len(figures) > (20 if report["runs"] else 4)  # of an empty report, most are 0 and left out
    for place, value, text in figures:
        assert json.loads(value) == wanted[place], place
        if isinstance(wanted[place], int) and not place.endswith(".bytes"):
            assert text == f"{wanted[place]:,}", place


def test_a_tag_in_a_key_is_shown_as_text(browser: Chromium, written: Callable[[Report], str]) -> None:
    tag = "<script>document.title = 'gone'</script>"
    report = rich()
    report["missing"]["causes"][0]["examples"][0]["key"] = tag
    report["hosts"][0]["host"] = tag
    with browser.visit(written(report)) as seen:
        assert seen.page.get_by_text(tag, exact=True).first.is_visible()
        assert seen.page.title() == "Incomplete: cars"
        assert seen.said == []


def wide() -> Report:
    """Return a report with the widest labels and numbers, and a job that took years."""
    report = rich()
    report["missing"]["causes"] = [
        {**cause, "cause": "W" * 50, "count": 10**10} for cause in report["missing"]["causes"]
    ]
    report["retries"] = {"MW@" * 9: 123_456_789, "i" * 50: 1, "車" * 50: 99}
    for number, host in enumerate(report["hosts"]):
        host.update(host="WM" * number, done=10 ** (number % 12))
    report["runs"] = [{**run, "started": f"20{run['id'] + 10}-01-01T00:00:00Z"} for run in report["runs"]]
    report["timeline"] = [
        {"time": f"20{year}-12-30T23:59:59Z", "pages": 10**year, "items": 7, "retries": 0} for year in range(10, 15)
    ]
    return report


@pytest.mark.parametrize("shown", [*SAMPLES, wide], indirect=True)
def test_nothing_is_cut(shown: tuple[Report, Visit]) -> None:
    _, seen = shown
    for width in (320, 390, 768, 1280):
        seen.resize(width)
        assert seen.cut() == [], width


@pytest.mark.parametrize("sample", SAMPLES)
def test_nothing_is_cut_in_print(
    browser: Chromium, written: Callable[[Report], str], sample: Callable[[], Report]
) -> None:
    with browser.visit(written(sample())) as seen:
        seen.resize(A4)
        seen.page.emulate_media(media="print", color_scheme="dark")
        assert seen.cut() == []
        colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        assert seen.page.evaluate(colours) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]


def test_a_button_copies_its_command(browser: Chromium, written: Callable[[Report], str]) -> None:
    with browser.visit(written(rich())) as seen:
        first = seen.page.locator(".command").first
        command = first.locator("code").inner_text()
        first.get_by_role("button").click()
        assert first.get_by_role("button").inner_text() == "Copied"
        assert seen.page.evaluate("getSelection().toString()") == command
        seen.page.evaluate("document.body.innerHTML = '<textarea></textarea>'")
        seen.page.locator("textarea").focus()
        seen.page.keyboard.press("Control+V")
        assert seen.page.locator("textarea").input_value() == command == "scrapy t8 failed revive --jobdir jobs/cars"


def test_dark_mode_changes_every_colour(browser: Chromium, written: Callable[[Report], str]) -> None:
    with browser.visit(written(rich())) as seen:
        light = seen.page.evaluate(COLOURS)
        seen.colour(dark=True)
        colours = list(zip(light, seen.page.evaluate(COLOURS), strict=True))
    assert len(colours) > 50
    for by_day, by_night in colours:
        assert by_day != by_night
