"""The plots of a report as SVG that stands in its page: no script, no style, no address of anything.

What is drawn comes from pygal; how it looks is for ``page/style.css`` to say, by the classes of the parts. So one
drawing serves light and dark. Labels come from the crawl and are not trusted: they are cleaned here, and escaped by the
library as the text of XML.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import accumulate
from typing import Any, TypeAlias
from unicodedata import east_asian_width

from scrapy_t8.utils.text import escape_surrogates
from scrapy_t8.utils.times import parse_time

Row: TypeAlias = Mapping[str, Any]

MOST = 500
"""Characters that are shown of a text."""
LABEL = 22
"""Room for a text beside a bar, in letters; some characters need two."""
BARS = 12
"""Bars of one plot: what is less is left to the table."""
RUNS = 200
"""Runs in their plot: the last ones."""

WIDTH = 360
"""Of a drawing, in its own units: as much as a phone has. The page scales it."""
FONT = 10
"""What the library reckons with; the page has its own."""
LINE = 18
"""Room for a bar."""

ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no page has a place for: control characters, halves of characters, and two that are none."""

STEPS = (1, 2, 5, 10, 15, 30)
MINUTE, HOUR, DAY = 60, 3600, 86400
TICKS = [
    *STEPS,
    *(step * MINUTE for step in STEPS),
    *(step * HOUR for step in (1, 2, 3, 6, 12)),
    *(step * DAY for step in (1, 2, 7, 14, 30, 91, 182, 365, 730, 1825, 3650, 36500)),
]
"""Seconds between two marks of a time line."""


def legible(text: str, most: int = MOST) -> str:
    """*text* without what no page can show, and no longer than that. Half of a character becomes its escape."""
    clean = ILLEGAL.sub("", escape_surrogates(text[:most]))
    return clean if len(text) <= most and len(clean) <= most else clean[: most - 1] + "…"


def parsed(time: object) -> datetime | None:
    """A time of the report, in UTC; None for what is no time."""
    try:
        return parse_time(time).astimezone(timezone.utc) if isinstance(time, str) else None
    except (ValueError, OverflowError):
        return None


# -- the plots ---------------------------------------------------------------------------------------------------


def bars(title: str, counts: Iterable[tuple[str, int]]) -> str:
    """How many of each: a bar and its number."""
    rows = [(label, count) for label, count in counts if count][:BARS]
    if not rows:
        return ""
    return _bars(title, rows, max(count for _, count in rows), "{:,}".format)


def coverage(title: str, fields: Mapping[str, float]) -> str:
    """Which part of the items has each field, the rarest first."""
    rows = [(name, 100 * part) for name, part in sorted(fields.items(), key=lambda field: field[1])][:BARS]
    return _bars(title, rows, 100, percent) if rows else ""


def hosts(title: str, rows: Sequence[Row]) -> str:
    """What became of the requests of each host; the busiest first, as in *rows*."""
    import pygal

    states = [("done", "good"), ("ready", "plain"), ("waiting", "warn"), ("dead", "bad")]
    shown = [row for row in rows if any(row[state] for state, _ in states)][:BARS][::-1]
    if not shown:
        return ""
    chart = pygal.HorizontalStackedBar(
        **_look(
            len(shown) * LINE + 60,
            x_labels=[_label(row["host"]) for row in shown],
            show_legend=True,
            legend_at_bottom=True,
            legend_at_bottom_columns=len(states),
            value_formatter=_short,
            min_scale=2,
            max_scale=4,
        )
    )
    for state, _ in states:
        chart.add(state, [_told(row[state], f"{row['host']}: {row[state]:,} {state}") for row in shown])
    return _svg(chart, title, [tone for _, tone in states])


def progress(title: str, timeline: Sequence[Row]) -> str:
    """Pages, items and retries up to each moment. A flat piece is a time in which nothing came."""
    import pygal

    rows = sorted(((at.timestamp(), row) for row in timeline if (at := parsed(row["time"]))), key=lambda row: row[0])
    if len(rows) < 2 or rows[0][0] == rows[-1][0]:
        return ""
    chart = pygal.XY(
        **_look(
            220,
            **_time_axis(rows[0][0], rows[-1][0]),
            show_legend=True,
            legend_at_bottom=True,
            legend_at_bottom_columns=3,
            show_dots=False,
            show_y_guides=True,
            include_x_axis=True,
            value_formatter=_short,
            min_scale=3,
            max_scale=6,
        )
    )
    for name in ("pages", "items", "retries"):
        sums = accumulate(row[name] or 0 for _, row in rows)
        chart.add(name, [(at, so_far) for (at, _), so_far in zip(rows, sums, strict=True)])
    return _svg(chart, title, ["plain", "good", "warn"])


def runs(title: str, rows: Sequence[Row], timeline: Sequence[Row], now: str | None) -> str:
    """When the job was at work, on one line, with how each run ended.

    :param timeline: tells how far a run came of which no end is known.
    :param now: the end of what still runs.
    """
    import pygal

    spans = _spans(rows[-RUNS:], timeline, now)
    if not spans:
        return ""
    first, last = spans[0][0], max(end for _, end, _ in spans)
    last = max(last, first + 1)
    chart = pygal.XY(
        **_look(
            84,
            **_time_axis(first, last),
            show_legend=True,
            legend_at_bottom=True,
            show_y_labels=False,
            range=(-1, 1),
            dots_size=4,
        )
    )
    at_least = (last - first) / WIDTH
    lines: list[tuple[float, int] | None] = []
    for start, end, _ in spans:
        lines += [(start, 0), (max(end, start + at_least), 0), None]
    chart.legend_at_bottom_columns = 1 + len({row["end"] for _, _, row in spans})
    chart.add("at work", lines, show_dots=False, allow_interruptions=True)
    tones = ["lane"]
    for kind, tone in (("finished", "good"), ("stopped", "warn"), ("killed", "bad"), ("running", "plain")):
        ends = [
            _told((end, 0), f"{kind}: run {row['id']}, begun {datetime.fromtimestamp(start, timezone.utc):%F %T}")
            for start, end, row in spans
            if row["end"] == kind
        ]
        if ends:
            chart.add(kind, ends, stroke=False)
            tones.append(tone)
    return _svg(chart, title, tones)


def percent(value: float) -> str:
    """A percentage, which is never rounded to the whole or to nothing."""
    rounded = f"{value:.1f}".removesuffix(".0")
    if rounded == "100" and value < 100:
        return "> 99.9 %"
    if rounded == "0" and value > 0:
        return "< 0.1 %"
    return rounded + " %"


# -- how ---------------------------------------------------------------------------------------------------------


def _bars(title: str, rows: Sequence[tuple[str, float]], most: float, told: Any) -> str:
    import pygal

    chart = pygal.HorizontalBar(
        **_look(
            len(rows) * LINE + 12,
            x_labels=[_label(label) for label, _ in reversed(rows)],
            show_x_labels=False,
            print_values=True,
            print_values_position="top",
            value_formatter=told,
            # Beyond the longest bar there is room for its number.
            range=(0, most * 1.25),
        )
    )
    chart.add("", [_told(value, f"{label}: {told(value)}", told(value)) for label, value in reversed(rows)])
    return _svg(chart, title, ["plain"])


def _look(height: int, **more: Any) -> dict[str, Any]:
    """What all plots have in common, and *more*."""
    from pygal.style import Style

    sizes = ("label", "major_label", "value", "legend", "tooltip", "title", "no_data", "value_label")
    return {
        "style": Style(**{f"{part}_font_size": FONT for part in sizes}),
        "js": [],
        "css": [],
        "no_prefix": True,
        "width": WIDTH,
        "height": height,
        "margin": 6,
        "spacing": 8,
        "show_legend": False,
        "show_x_guides": False,
        "show_y_guides": False,
        "truncate_label": -1,
        "truncate_legend": -1,
        "legend_box_size": 8,
        **more,
    }


def _label(text: str) -> str:
    clean = legible(text, LABEL)
    wide = sum(east_asian_width(character) in "WF" for character in clean)
    return legible(text, LABEL - wide // 2) if wide else clean


def _told(value: object, tip: str, shown: str | None = None) -> dict[str, Any]:
    """A value of a plot with what is told of it under the pointer."""
    return {"value": value, "tooltip": legible(tip), "formatter": lambda _: shown or ""}


def _spans(rows: Sequence[Row], timeline: Sequence[Row], now: str | None) -> list[tuple[float, float, Row]]:
    """Beginning and end of each run, as far as they are known."""
    begun = [(at.timestamp(), row) for row in rows if (at := parsed(row["started"]))]
    signs = sorted(at.timestamp() for row in timeline if (at := parsed(row["time"])))
    present = parsed(now)
    spans = []
    for number, (start, row) in enumerate(begun):
        told = parsed(row["ended"]) or (present if row["end"] == "running" else None)
        following = begun[number + 1][0] if number + 1 < len(begun) else math.inf
        seen = bisect_left(signs, following)
        end = told.timestamp() if told else signs[seen - 1] if seen else start
        spans.append((start, max(start, end), row))
    return spans


def _time_axis(first: float, last: float) -> dict[str, Any]:
    """A few round moments between two, in UTC."""
    step = next((step for step in TICKS if (last - first) / step <= 4), TICKS[-1])
    form = "%F" if step >= DAY else "%m-%d %H:%M" if last - first > DAY else "%H:%M" if step >= MINUTE else "%H:%M:%S"
    ticks = range(int(-(-first // step)) * step, int(last) + 1, step)
    return {
        "x_labels": [{"value": tick, "label": f"{datetime.fromtimestamp(tick, timezone.utc):{form}}"} for tick in ticks]
        or [{"value": first, "label": f"{datetime.fromtimestamp(first, timezone.utc):%F %T}"}],
        "xrange": (first, last),
    }


def _short(value: float) -> str:
    """A number of an axis."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _svg(chart: Any, title: str, tones: Sequence[str]) -> str:
    """The drawing with what a page needs of it, its series named by *tones* rather than numbered."""
    from pygal.etree import etree

    root = chart.render_tree()
    _strip(root, tones)
    root.set("role", "img")
    root.set("aria-label", title)
    return str(etree.tostring(root, encoding="unicode"))


def _strip(node: Any, tones: Sequence[str]) -> None:
    node.attrib.pop("id", None)
    classes = node.get("class", "").split()
    if classes:
        node.set("class", " ".join(_toned(word, tones) for word in classes))
    for child in list(node):
        if _is_wanted(child, classes[:1]):
            _strip(child, tones)
        else:
            node.remove(child)


def _is_wanted(node: Any, inside: list[str]) -> bool:
    if not isinstance(node.tag, str):
        return False
    name = node.tag.rpartition("}")[2]
    if name == "title":
        # That of the drawing would cover those of its parts, and an axis tells the places of its labels.
        return inside in (["bar"], ["dots"])
    return name not in ("script", "style", "defs", "desc") and node.get("class") != "plot tooltip-overlay"


def _toned(word: str, tones: Sequence[str]) -> str:
    name, _, number = word.partition("color-")
    return f"tone-{tones[int(number)]}" if not name and number.isdigit() else word
