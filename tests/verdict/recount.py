"""Recounts a crawl by what a user has in hand: the plan, the hits of the site, and the bytes of the feed."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from .plan import HARMFUL, LASTING, Plan

FATAL_FOR_ITEMS = {"pipeline-raises", "pipeline-cancelled", "no-serializer", "exporter-raises", "filter-raises"}
"""Hazards that strike at the item of the plan."""


def wrong(plan: Plan, hits: Counter[str], feed: Path) -> list[str]:
    """Return what is wrong with a crawl that says it is complete; nothing if it is.

    :param hits: how often the site has answered each page with its whole body.
    """
    reached = reached_pages(plan)
    found = [
        f"page {name} is {plan.pages[name].behaviour}" for name in reached if plan.pages[name].behaviour in LASTING
    ]
    found += [f"{hazard} has struck" for hazard in plan.hazards if _strikes(plan, hazard, reached)]
    found += [f"page {name} was never served" for name in reached if not hits[name] and not found]
    expected = expected_items(plan, reached)
    present = Counter(read(feed, plan.feed_format))
    found += [f"item {item} is missing" for item in sorted(expected - present)]
    found += [f"item {item} is {count} times too much" for item, count in sorted((present - expected).items())]
    return found


def reached_pages(plan: Plan) -> list[str]:
    """Return the pages that a crawl without trouble comes to, in no promised order."""
    reached, ahead = [], [name for name, _ in plan.start]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.append(name)
            if plan.pages[name].behaviour not in LASTING:
                ahead += [child for child, _ in plan.pages[name].links]
    return reached


def expected_items(plan: Plan, reached: list[str]) -> Counter[str]:
    """Return the items that the feed has to have: once each, but those that a pipeline drops on purpose."""
    numbers = [
        number for name in reached if plan.pages[name].behaviour not in LASTING for number in plan.pages[name].items
    ]
    return Counter(str(number) for number in {*numbers, *plan.start_items} - set(plan.dropped_items))


def _strikes(plan: Plan, hazard: str, reached: list[str]) -> bool:
    """Whether a hazard of the plan costs something."""
    if hazard not in HARMFUL:
        return False
    if hazard == "no-storage":
        return True
    if hazard == "no-serializer" and plan.feed_format not in ("json", "jsonlines"):
        return False
    if hazard == "start-item-raises":
        return bool(plan.start_items)
    if hazard in FATAL_FOR_ITEMS:
        return str(plan.victim_item) in expected_items(plan, reached)
    return plan.victim in reached and plan.pages[plan.victim].behaviour not in LASTING


def read(feed: Path, form: str) -> list[str]:
    """Return the numbers of the items that the feed has, or what else there is in their place."""
    text = feed.read_text() if feed.exists() else ""
    if form == "jsonlines":
        return [_number(line) for line in text.splitlines()]
    if form == "csv":
        return [row.get("number") or repr(row) for row in csv.DictReader(io.StringIO(text))]
    if not text.strip():
        return []
    try:
        if form == "json":
            return [str(item["number"]) for item in json.loads(text)]
        return [str(item.findtext("number")) for item in ElementTree.fromstring(text)]
    except (ValueError, ElementTree.ParseError) as error:
        return [f"a feed that cannot be read: {error}"]


def _number(line: str) -> str:
    try:
        return str(json.loads(line)["number"])
    except (ValueError, KeyError, TypeError):
        return line
