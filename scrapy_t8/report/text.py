"""Text, numbers and times as the page of a report shows them."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from unicodedata import east_asian_width

from scrapy_t8.utils.text import escape_surrogates
from scrapy_t8.utils.times import parse_time

MOST = 500  # Characters of a text that are shown

ILLEGAL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters, surrogates and noncharacters, which no page may contain. A negated class compiles slowly."""


def legible(text: str, most: int = MOST) -> str:
    """Return *text* without illegal characters, cut to *most* characters. A surrogate becomes its escape."""
    clean = ILLEGAL.sub("", escape_surrogates(text[:most]))
    return clean if len(text) <= most and len(clean) <= most else clean[: most - 1] + "…"


def width(text: str) -> float:
    """Estimate the width of *text* in a sans-serif font, in units of the font size; rather too wide than too narrow."""
    return sum(_width_of(character) for character in text)


def _width_of(character: str) -> float:
    if character in "ijlft.,:;'|!()[] ":
        return 0.4
    if character in "mwMW@%…" or east_asian_width(character) in "WF":
        return 1.0
    return 0.8 if character.isupper() else 0.65


def time_of(value: object) -> datetime | None:
    """Return the time of *value*, in UTC; None if it is not a time in ISO 8601."""
    try:
        return parse_time(value).astimezone(timezone.utc) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def number(value: float) -> str:
    """Format a number with separators of thousands and up to two decimals; a small fraction with four digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value) or abs(value) < 1:
        return f"{value:.4g}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def percent(value: float) -> str:
    """Format a percentage. Only the whole is shown as 100 %, only nothing as 0 %."""
    rounded = f"{value:.1f}".removesuffix(".0")
    if rounded == "100" and value < 100:
        return "> 99.9 %"
    if rounded == "0" and value > 0:
        return "< 0.1 %"
    return rounded + " %"


def short(value: float) -> str:
    """Format a number for an axis, as 12k."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def size(count: int) -> str:
    """Format a number of bytes, as 12.5 kB."""
    for bytes_, unit in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}"
    return f"{count:,} bytes"


def span(seconds: float) -> str:
    """Return a number of seconds in hours, minutes and seconds."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{seconds:.1f} s"
