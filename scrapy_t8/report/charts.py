"""The charts of a report as SVG inside its page: no script, no style, no address of anything.

``page/style.css`` gives colours and fonts by the classes of the parts, so one drawing serves light and dark. Labels
come from the crawl and are not trusted: each is cleaned, cut and escaped here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, TypeAlias

from .text import legible, percent, short, time_of, width

Row: TypeAlias = Mapping[str, Any]

FEWEST_BARS = 3
"""A chart of fewer bars says no more than their numbers."""
FEWEST_POINTS = 5
"""The same for points in time."""
BESIDE = 12
"""Width of a label beside its bar, in units of the font size. If one is wider, all stand above their bars."""
BARS = 12
"""Bars of one chart. The table below it has the others."""
RUNS = 200
"""Runs in their chart: the last ones."""

WIDTH = 360
"""Width of a drawing in its own units, about the pixels of a phone. The page scales it."""
FONT = 12
"""The largest font size that the page uses, in units of the drawing."""
LINE = 18
"""Height of a row with its bar."""
WIDEST = WIDTH / FONT - 1
"""Width of a label above its bar, in units of the font size."""
LINES = 3
"""Lines of such a label."""
MARGIN = 6
PLOT = 165
"""Height of the chart of progress without its axis."""

STATES = {"done": "good", "ready": "plain", "waiting": "warn", "dead": "bad"}
"""States of requests, and the class that gives each its colour."""
SERIES = {"pages": "plain", "items": "good", "retries": "warn"}
ENDS = {"finished": "good", "stopped": "warn", "killed": "bad", "running": "plain"}

STEPS = (1, 2, 5, 10, 15, 30)
MINUTE, HOUR, DAY = 60, 3600, 86400
TIME_STEPS = [
    *STEPS,
    *(step * MINUTE for step in STEPS),
    *(step * HOUR for step in (1, 2, 3, 6, 12)),
    *(step * DAY for step in (1, 2, 7, 14, 30, 91, 182, 365, 730, 1825, 3650, 36500)),
]
"""Seconds between two ticks of a time axis."""


def bars(title: str, counts: Iterable[tuple[str, int]]) -> str:
    """Draw a bar with its number for each count above 0."""
    rows = [(label, count) for label, count in counts if count][:BARS]
    return _bars(title, rows, max((count for _, count in rows), default=0), "{:,}".format)


def coverage(title: str, fields: Mapping[str, float]) -> str:
    """Draw which part of the items has each field, the rarest first."""
    rows = [(name, 100 * part) for name, part in sorted(fields.items(), key=lambda field: field[1])][:BARS]
    return _bars(title, rows, 100, percent)


def hosts(title: str, rows: Sequence[Row]) -> str:
    """Draw the requests of each host by their state, in the order of *rows*."""
    shown = [row for row in rows if any(row[state] for state in STATES)][:BARS]
    if len(shown) < FEWEST_BARS:
        return ""
    lanes = _Lanes.of([str(row["host"]) for row in shown])
    left, tops = lanes.left, lanes.tops
    bottom = tops[-1] - 2
    most = max(sum(row[state] for state in STATES) for row in shown)
    scale = (WIDTH - left - MARGIN) / most
    parts = [*(_tick(left + tick * scale, bottom, short(tick)) for tick in _ticks(most, 4)), *lanes.texts()]
    for number, row in enumerate(shown):
        x = left
        for state, tone in STATES.items():
            if row[state]:
                tip = f"{row['host']}: {row[state]:,} {state}"
                parts.append(_bar(x, tops[number], row[state] * scale, tone, tip))
                x += row[state] * scale
    return _svg(title, bottom + 40, [*parts, *_legend(bottom + 34, STATES)])


def progress(title: str, timeline: Sequence[Row], begun: object, end: object) -> str:
    """Draw pages, items and retries up to each moment. A flat piece is a time in which nothing came.

    :param begun: when the job began. The first row of the timeline has the round time before that.
    :param end: the last moment for which the last row counts.
    """
    rows = sorted(((at.timestamp(), row) for row in timeline if (at := time_of(row["time"]))), key=lambda row: row[0])
    if len(rows) < FEWEST_POINTS or any(a[0] == b[0] for a, b in pairwise(rows)):
        return ""
    moments = _edges([moment for moment, _ in rows], time_of(begun), time_of(end))
    sums = {name: [0, *accumulate(row[name] or 0 for _, row in rows)] for name in SERIES}
    most = max(1, *(counts[-1] for counts in sums.values()))
    ticks = _ticks(most, 5)
    left, scale = _space(map(short, ticks)), (PLOT - MARGIN) / most
    parts, place = _time_axis(moments[0], moments[-1], left, PLOT)
    for tick in ticks:
        y = PLOT - tick * scale
        parts += [_line(left, y, WIDTH, y), _text("label", left - 5, y + 3, short(tick))]
    for name, tone in SERIES.items():
        counts = [count for pair in pairwise(sums[name]) for count in pair]
        points = " ".join(
            f"{place(at):.1f},{PLOT - count * scale:.1f}" for at, count in zip(moments, counts, strict=True)
        )
        parts.append(f'<polyline class="{tone}" points="{points}"/>')
    return _svg(title, PLOT + 40, [*parts, *_legend(PLOT + 34, SERIES)])


def runs(title: str, rows: Sequence[Row], timeline: Sequence[Row], now: str | None) -> str:
    """Draw when the job was at work, on one line, with how each run ended.

    :param timeline: shows how far a run came whose end is unknown.
    :param now: the end of a run that still goes on.
    """
    spans = _spans(rows[-RUNS:], timeline, now)
    if len(spans) < FEWEST_BARS:
        return ""
    first = spans[0][0]
    parts, place = _time_axis(first, max(first + 1, *(end for _, end, _ in spans)), MARGIN, 36)
    for start, end, _ in spans:
        parts.append(_bar(place(start), 12, place(end) - place(start), "lane", height=12))
    for start, end, row in spans:
        tip = f"{row['end']}: run {row['id']}, begun {datetime.fromtimestamp(start, timezone.utc):%F %T}"
        tone = ENDS.get(row["end"], "")
        parts.append(
            f'<circle class="{tone}" cx="{place(end):.1f}" cy="18" r="4"><title>{escape(tip)}</title></circle>'
        )
    seen = {end: tone for end, tone in ENDS.items() if any(row["end"] == end for _, _, row in spans)}
    return _svg(title, 76, [*parts, *_legend(70, {"at work": "lane", **seen})])


def _spans(rows: Sequence[Row], timeline: Sequence[Row], now: str | None) -> list[tuple[float, float, Row]]:
    """Return beginning and end of each run, as far as they are known."""
    begun = [(at.timestamp(), row) for row in rows if (at := time_of(row["started"]))]
    signs = sorted(at.timestamp() for row in timeline if (at := time_of(row["time"])))
    present = time_of(now)
    spans = []
    for number, (start, row) in enumerate(begun):
        ended = time_of(row["ended"]) or (present if row["end"] == "running" else None)
        following = begun[number + 1][0] if number + 1 < len(begun) else math.inf
        seen = bisect_left(signs, following)
        end = ended.timestamp() if ended else signs[seen - 1] if seen else start
        spans.append((start, max(start, end), row))
    return spans


# -- axes ----------------------------------------------------------------------------------------------------------


def _ticks(most: float, count: int) -> list[float]:
    """Return round numbers from 0 to *most*, at most *count* steps apart."""
    power = 10.0 ** math.floor(math.log10(most))
    step = next(step for step in (power / 10 * round_ for round_ in (1, 2, 5, 10, 20, 50, 100)) if most / step <= count)
    step = max(1.0, step)
    return [step * number for number in range(int(most / step) + 1)]


def _edges(begins: list[float], begun: datetime | None, end: datetime | None) -> list[float]:
    """Return beginning and end of each row of the timeline; of the first and the last row, as far as they are known."""
    length = min(later - earlier for earlier, later in pairwise(begins))
    edges = [edge for begin in begins for edge in (begin, begin + length)]
    if begun is not None:
        edges[0] = min(begun.timestamp(), edges[1])
    if end is not None:
        edges[-1] = max(edges[-2], min(edges[-1], end.timestamp()))
    return edges


def _time_axis(first: float, last: float, left: float, bottom: float) -> tuple[list[str], Callable[[float], float]]:
    """Return an axis with a few round moments in UTC, and the function that gives a moment its place on it."""
    step = next((step for step in TIME_STEPS if (last - first) / step <= 4), TIME_STEPS[-1])
    form = "%F" if step >= DAY else "%m-%d %H:%M" if last - first > DAY else "%H:%M" if step >= MINUTE else "%H:%M:%S"
    ticks: Sequence[float] = range(int(-(-first // step)) * step, int(last) + 1, step)
    if not ticks:
        ticks, form = [first], "%F %T"
    scale = (WIDTH - MARGIN - left) / (last - first)

    def place(moment: float) -> float:
        return left + (moment - first) * scale

    return [_tick(place(tick), bottom, f"{datetime.fromtimestamp(tick, timezone.utc):{form}}") for tick in ticks], place


def _tick(x: float, bottom: float, text: str) -> str:
    """Return a guide from top to *bottom* and its text, which stays inside of the drawing."""
    half = width(text) * FONT / 2
    return _line(x, 0, x, bottom) + _text("tick", min(max(x, half), WIDTH - half), bottom + 13, text)


# -- parts ---------------------------------------------------------------------------------------------------------


class _Lanes(NamedTuple):
    """The rows of a chart of bars, each with its label: beside the bars, or above them if a label is long."""

    labels: list[list[str]]
    left: float

    @classmethod
    def of(cls, names: list[str]) -> _Lanes:
        """Return the rows of these labels. A long label takes several lines."""
        names = [legible(name) for name in names]
        if max(map(width, names)) <= BESIDE:
            return cls([[name] for name in names], _space(names))
        return cls([_lines(name) for name in names], 0.0)

    @property
    def tops(self) -> list[float]:
        """Where each bar begins; and last, the height of all."""
        above = [0 if self.left else len(lines) * LINE for lines in self.labels]
        ends = [0, *accumulate(height + LINE + (0 if self.left else 4) for height in above)]
        return [*(end + height + 2 for end, height in zip(ends, above, strict=False)), ends[-1] + 2]

    def texts(self) -> list[str]:
        """Return the labels as parts of the drawing."""
        parts = []
        for top, lines in zip(self.tops, self.labels, strict=False):
            if self.left:
                parts.append(_text("label", self.left - 5, top + 11, lines[0]))
            else:
                first = top - len(lines) * LINE + 12
                parts += [_text("name", 0, first + at * LINE, line) for at, line in enumerate(lines)]
        return parts


def _bars(title: str, rows: Sequence[tuple[str, float]], most: float, form: Callable[[Any], str]) -> str:
    if len(rows) < FEWEST_BARS:
        return ""
    lanes = _Lanes.of([label for label, _ in rows])
    scale = (WIDTH - lanes.left - _space(form(value) for _, value in rows)) / most
    parts = lanes.texts()
    for (label, value), y in zip(rows, lanes.tops, strict=False):
        parts.append(_bar(lanes.left, y, value * scale, "plain", f"{label}: {form(value)}"))
        parts.append(_text("value", lanes.left + value * scale + 5, y + 11, form(value)))
    return _svg(title, lanes.tops[-1], parts)


def _svg(title: str, height: float, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(legible(title))}">{"".join(parts)}</svg>'
    )


def _bar(x: float, y: float, length: float, tone: str, tip: str = "", *, height: float = LINE - 4) -> str:
    shown = f"<title>{escape(legible(tip))}</title>" if tip else ""
    size = f'width="{max(length, 0.5):.1f}" height="{height:g}"'
    return f'<rect class="{tone}" x="{x:.1f}" y="{y:g}" {size}>{shown}</rect>'


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _legend(y: float, tones: Mapping[str, str]) -> list[str]:
    parts, x = [], float(MARGIN)
    for name, tone in tones.items():
        parts.append(f'<rect class="{tone}" x="{x:.1f}" y="{y - 8:g}" width="8" height="8"/>')
        parts.append(_text("name", x + 12, y, name))
        x += 12 + width(name) * FONT + 14
    return parts


def _lines(text: str) -> list[str]:
    """Return *text* on lines that a drawing has a place for. The page has all of the text elsewhere."""
    lines = [""]
    for word in text.split():
        if lines[-1] and width(f"{lines[-1]} {word}") > WIDEST:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    shown = lines[:LINES]
    if len(lines) > LINES:
        shown[-1] += " …"
    return [_cut(line) for line in shown]


def _cut(line: str) -> str:
    kept = sum(reached <= WIDEST for reached in accumulate(map(width, line)))
    return line if kept == len(line) else line[: kept - 1] + "…"


def _space(texts: Iterable[str]) -> float:
    """Return the width that the widest of *texts* takes, with a gap."""
    return max(width(text) for text in texts) * FONT + 8
