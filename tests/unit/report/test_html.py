"""report.html shows all of the report, and loads or runs nothing."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from scrapy_t8.errors import ConfigError, FormatError
from scrapy_t8.report import charts
from scrapy_t8.report.html import PAGE, render
from scrapy_t8.report.next_steps import next_steps
from scrapy_t8.report.summary import summary
from scrapy_t8.report.text import ILLEGAL, MOST, legible, percent
from tests.support.reports import NASTY, SHOP, Report, at, empty, hostile, large, rich

SAMPLES = [empty, rich, hostile, large]
JOB = Path("jobs/cars")


class Reader(HTMLParser):
    """The tags of a page, the figures in it, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[dict[str, str | None]] = []
        self.figures: dict[str, float] = {}
        self._parts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.attributes |= set(found)
        if tag == "a":
            self.links.append(found)
        if place := found.get("data-figure"):
            self.figures[place] = json.loads(found["data-value"] or "")

    def handle_data(self, data: str) -> None:
        self._parts.append(data)

    @property
    def text(self) -> str:
        return "".join(self._parts)


def numbers(part: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a document by their place."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from numbers(value, f"{place}.{name.replace('%', '%25').replace('.', '%2E')}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from numbers(value, f"{place}.{number}")
    elif isinstance(part, (int, float)) and not isinstance(part, bool):
        yield place[1:], part


@cache
def page_of(sample: Callable[[], Report]) -> str:
    """Return the page of a sample, which is rendered once."""
    return render(sample(), JOB)


@cache
def reader_of(sample: Callable[[], Report]) -> Reader:
    """Return what is on the page of a sample."""
    return Reader(page_of(sample))


def drawings(page: str) -> list[str]:
    return re.findall(r"<svg .*?</svg>", page, re.DOTALL)


def test_every_number_of_the_report_but_zeros_is_on_the_page() -> None:
    report = rich()
    wanted = dict(numbers(report))
    # What a validator has made up itself may be of any form, and is shown as it is.
    del wanted["validation.custom.brands.BMW"]
    shown = Reader(render(report, JOB)).figures
    assert shown.items() <= wanted.items()
    assert not any(value for place, value in wanted.items() if place not in shown)


@pytest.mark.parametrize("sample", [empty, hostile, large])
def test_every_number_on_the_page_is_one_of_the_report(sample: Any) -> None:
    report = sample()
    wanted = dict(numbers(report))
    for place, value in reader_of(sample).figures.items():
        assert wanted[place] == value, place


def test_numbers_and_times_are_for_people() -> None:
    page = page_of(rich)
    assert 'data-figure="ledger.items.exported" data-value="11873">11,873</span>' in page
    assert '<time datetime="2026-05-12T08:05:00Z">2026-05-12 08:05:00</time>' in page
    assert 'data-figure="coverage.0.fields.engine%2Epower" data-value="0.655">65.5 %</span>' in page
    assert "2 h 21 min" in page


def test_an_empty_report_has_no_empty_sections() -> None:
    page = page_of(empty)
    assert re.findall(r'<section id="(\w+)"', page) == ["ledger", "job"]
    assert drawings(page) == []
    assert "nothing is left to fetch" in page
    assert "expected" not in reader_of(empty).text


def test_what_was_not_known_is_said_to_be_unknown() -> None:
    report = empty()
    report["ledger"]["expected"] = dict.fromkeys(("expected", "collected", "missing", "difference"))
    report["runs"] = [{"id": 1, "started": None, "ended": None, "reason": None, "end": "killed"}]
    report["waiting"]["next_due"] = "soon"
    page = render(report, JOB)
    assert "unknown" in page
    assert "soon" in page


@pytest.mark.parametrize(
    ("part", "mark"),
    [("requests", "does not balance"), ("items", "does not balance"), ("expected", "does not balance")],
)
def test_ledgers_that_do_not_balance_are_marked(part: str, mark: str) -> None:
    report = rich()
    assert mark not in render(report, JOB)
    report["verdict"] = "unbalanced"
    report["ledger"][part]["difference"] = -7
    page = render(report, JOB)
    assert f'{mark}: difference <span class="figure" data-figure="ledger.{part}.difference" data-value="-7">' in page
    assert "cannot be trusted" in page


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_page_is_one_file_whose_only_script_is_ours(sample: Any) -> None:
    page, found = page_of(sample), reader_of(sample)
    assert not found.tags & {"img", "iframe", "object", "embed", "form", "image", "use"}
    script = (PAGE / "copy.js").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL) == [script]
    assert not {name for name in found.attributes if name.startswith("on")} | found.attributes & {"src", "xlink:href"}
    assert "url(" not in page
    assert "@import" not in page
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'; img-src data:"
    assert f'content="{policy}"' in page


def test_text_of_the_crawl_is_escaped_in_the_page() -> None:
    page = page_of(hostile)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    text = reader_of(hostile).text
    for nasty in NASTY[:4]:
        assert nasty in text
    assert "long" * 130 not in page


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_page_can_be_written_and_its_drawings_are_xml(sample: Any) -> None:
    page = page_of(sample)
    page.encode()
    assert not ILLEGAL.search(page)
    for drawing in drawings(page):
        ElementTree.fromstring(drawing)


def test_only_whole_addresses_of_the_web_are_links() -> None:
    report = rich()
    urls = [
        "https://a.example/?x=1&y='2",
        "javascript:alert(1)",
        "http://a.example/\x00",
        "https://" + "a" * 3000,
        "https://a.example/?token=***",
        "ftp://a",
    ]
    report["dropped"] = [{**report["dropped"][0], "url": url} for url in urls]
    report["missing"]["causes"] = report["failed"] = report["without_result"]["causes"] = []
    assert [link["href"] for link in Reader(render(report, JOB)).links] == urls[:1]
    assert all(link["rel"] == "noopener noreferrer" for link in reader_of(rich).links)


def test_the_middle_of_a_long_url_is_not_shown() -> None:
    report, url = rich(), f"{SHOP}/{'a' * 300}?last=17"
    report["dropped"] = [{**report["dropped"][0], "url": url}]
    page = render(report, JOB)
    assert url in [link["href"] for link in Reader(page).links]
    assert f"{url[:110]}…{url[-50:]}</bdi>" in page


def test_the_page_of_a_large_report_is_small() -> None:
    page = page_of(large)
    assert len(page) < 8_000_000
    assert "are in report.json" in page


def test_a_report_of_an_earlier_release_has_a_page() -> None:
    report = rich()
    for name in ("left", "releases", "unproven"):
        report.pop(name, None)
    for feed in report["feeds"]:
        del feed["bytes"]
    page = render(report, JOB)
    assert "Incomplete" in page
    assert '<th scope="col" class="size">' not in page


def test_the_top_of_the_page_says_what_and_how_long() -> None:
    shown = "".join(Reader(render(rich(), JOB)).text.partition("What to do next")[0].split())
    for wanted in (
        "11,873 items were exported; 287 items are missing of 12,127 expected, 41 requests were given up",
        "Spider cars, with country = de, pages = 400",
        "Crawled shop.example, img.shop.example, dealer-01.example and 13 other hosts",
        "from 2026-05-12 06:30:00 to 2026-05-12 13:11:30 UTC",
        "Runs 4: 1 stopped, 2 killed, 1 finished",
        "With Scrapy 2.19.0, scrapy_t8 0.1.0, Python 3.12.1",
        "file:///data/cars.jsonl 11,873 4.1 MB jsonlines",
    ):
        assert wanted.replace(" ", "") in shown


def test_the_commands_are_those_of_the_log() -> None:
    report = rich()
    commands = re.findall(r"<pre><code>(.*?)</code></pre>", render(report, Path("my jobs/cars")))
    lines = summary(report, Path("my jobs/cars"))
    assert len(commands) == 4
    for command in map(unescape, commands[:3]):
        assert command in lines
    assert unescape(commands[3]) == "scrapy t8 failed show --jobdir 'my jobs/cars' 17"
    assert "heal" not in str(next_steps({**report, "missing": {"causes": []}}, JOB))
    assert [step.what for step in next_steps({**report, "running": True}, JOB)] == [
        "accept these causes, in settings.py"
    ]


def test_a_complete_job_needs_no_steps() -> None:
    assert "What to do next" not in page_of(empty)


def test_a_key_that_is_the_url_has_no_column() -> None:
    report = rich()
    url = f"{SHOP}/audi"
    row = {**report["missing"]["causes"][2], "examples": [{"key": url, "sources": [], "url": url}]}
    report["missing"]["causes"] = [row]
    part = render(report, JOB).partition('id="missing"')[2].partition("</section>")[0]
    assert ">URL</th>" in part
    assert ">Key</th>" not in part


def test_another_version_is_refused() -> None:
    with pytest.raises(FormatError, match="reads reports of version 1, not int 2"):
        render({**rich(), "version": 2}, JOB)


def test_a_report_that_lacks_something_is_refused() -> None:
    report = rich()
    del report["ledger"]["items"]
    with pytest.raises(FormatError, match="items"):
        render(report, JOB)
    del report["ledger"]
    with pytest.raises(FormatError, match="ledger"):
        render(report, JOB)


def test_without_the_extra_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r'^report.html needs jinja2: pip install "scrapy-t8\[report\]"$'):
        render(empty(), JOB)


# -- the plots ---------------------------------------------------------------------------------------------------


def timeline(*minutes: float) -> list[Report]:
    return [{"time": at(minute), "pages": 1, "items": 1, "retries": 0} for minute in minutes]


def test_nothing_to_plot_is_no_plot() -> None:
    assert charts.bars("", []) == charts.bars("", [("a", 0)]) == ""
    assert charts.coverage("", {}) == ""
    assert charts.hosts("", []) == ""
    assert charts.progress("", timeline(1), None, None) == charts.progress("", timeline(*[1] * 5), None, None) == ""
    assert charts.runs("", [], [], None) == ""


def test_few_numbers_are_no_plot() -> None:
    counts = [("a", 3), ("b", 2), ("c", 1)]
    assert charts.bars("", [*counts[:2], ("nothing", 0)]) == ""
    assert charts.bars("", counts) != ""
    fields = {"a": 1.0, "b": 0.5, "c": 0.2}
    assert charts.coverage("", {name: fields[name] for name in "ab"}) == ""
    assert charts.coverage("", fields) != ""
    hosts = rich()["hosts"]
    assert charts.hosts("", hosts[:2]) == ""
    assert charts.hosts("", hosts[:3]) != ""
    runs = rich()["runs"]
    assert charts.runs("", runs[:2], [], None) == ""
    assert charts.runs("", runs[:3], [], None) != ""
    assert charts.progress("", timeline(*range(4)), None, None) == ""
    assert charts.progress("", timeline(*range(5)), None, None) != ""


def test_the_curve_begins_with_the_job_and_is_flat_between_runs() -> None:
    drawing = charts.progress("", timeline(0, 1, 2, 60, 61), at(0.5), at(61.5))
    points = re.findall(r'<polyline class="good" points="([^"]*)"', drawing)[0].split()
    places = [tuple(map(float, point.split(","))) for point in points]
    assert len(places) == 10
    assert places[0][0] == min(x for x, _ in places)
    assert places[0][1] == charts.PLOT  # nothing was there when the job began
    assert places[5][1] == places[6][1]  # from the end of one run to the beginning of the next
    assert places[6][0] - places[5][0] > 0.8 * (places[-1][0] - places[0][0])


def test_a_long_label_stands_above_its_bar() -> None:
    long = "dropped by a pipeline: Price: no price that a person could read in the offer of the dealer"
    drawing = charts.bars("", [(long, 3), ("b", 2), ("c", 1)])
    assert " ".join(re.findall(r'<text class="name"[^>]*>([^<]*)</text>', drawing)) == f"{long} b c"
    assert 'class="label"' not in drawing


@pytest.mark.parametrize("last", [1 / 60, 0.5, 7, 90, 1_000, 10_000, 1_000_000, 50_000_000])
def test_a_time_line_of_any_length_has_a_few_marks(last: float) -> None:
    drawing = charts.progress("", timeline(*(last * part / 4 for part in range(5))), None, None)
    assert (
        1 <= len(re.findall(r"<text [^>]*>(?:\d\d:\d\d(?::\d\d)?|[\d-]+ [\d:]+|\d{4}-\d\d-\d\d)</text>", drawing)) <= 5
    )


def test_a_killed_run_ends_with_its_last_sign_of_life() -> None:
    runs = [
        {"id": 1, "started": at(0), "ended": None, "reason": None, "end": "killed"},
        {"id": 2, "started": at(100), "ended": None, "reason": None, "end": "killed"},
        {"id": 3, "started": at(200), "ended": None, "reason": None, "end": "running"},
    ]
    spans = charts._spans(runs, timeline(5, 40, 90), at(260))
    assert [(end - start) / 60 for start, end, _ in spans] == [90, 0, 60]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(100, "100 %"), (99.97, "> 99.9 %"), (0, "0 %"), (0.01, "< 0.1 %"), (12.75, "12.8 %"), (83, "83 %")],
)
def test_a_part_is_not_rounded_to_all_or_nothing(value: float, shown: str) -> None:
    assert percent(value) == shown


def test_text_is_legible() -> None:
    assert legible("a\x00b\ud800c") == "ab\\ud800c"
    assert len(legible("x" * 10_000)) == MOST
    assert legible("tab\tand \U0001f697") == "tab\tand \U0001f697"


def test_the_page_of_a_running_job_says_that_the_job_runs() -> None:
    report = {**rich(), "running": True, "verdict": "incomplete"}
    report["ledger"]["requests"]["leased"] = 4
    report["runs"][-1] |= {"ended": None, "reason": None, "end": "running"}
    page = render(report, JOB)
    assert "<title>Running: cars</title>" in page
    text = " ".join(unescape(re.sub("<[^>]*>", "", page)).split())
    assert "Running." in text
    assert "4 are in flight" in text
    assert "- - running" in text
    assert summary(report, JOB).splitlines()[0].endswith(": INCOMPLETE (running)")
