"""The report in a few lines, for the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST = 8
"""Causes, and alerts, that are told one by one."""
WORDS = {
    "not_fetched": "not yet fetched",
    "waiting": "waiting for another try",
    "dead": "dead",
    "no_item": "fetched, but no item yielded",
    "dropped": "dropped by",
    "failed": "failed in",
    "discarded": "request discarded",
    "never_linked": "never linked",
    "unnamed": "known by number only",
}


def summary(document: dict[str, Any]) -> str:
    """What a person wants to know first."""
    return "\n".join(_lines(document))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    ledger = document["ledger"]
    items, requests, expected = ledger["items"], ledger["requests"], ledger["expected"]
    yield f"Integrity report of {document['job']['id']}: {document['verdict'].upper()}"
    if expected["expected"]:
        yield "  {collected} of {expected} expected items are there, {missing} are missing".format(**expected)
    for row in document["missing"]["causes"][:MOST]:
        told = " ".join(filter(None, (WORDS.get(row["cause"], row["cause"]), row["detail"])))
        names = ", ".join(str(example.get("key", example.get("source"))) for example in row["examples"][:3])
        yield f"    {row['count']} {told}: {names}{', ...' if row['count'] > 3 else ''}"
    if len(document["missing"]["causes"]) > MOST:
        yield f"    and {len(document['missing']['causes']) - MOST} other causes"
    if document["healing"]["asked"]:
        yield "  healed: {collected} of {asked}, {left} under way, {impossible} that cannot be asked for".format(
            **document["healing"]
        )
    yield (
        "  items: {scraped} scraped = {exported} exported + {duplicate} duplicate + {dropped} dropped + {failed} failed"
    ).format(**items)
    yield (
        "  requests: {admitted} admitted = {done} done + {ready} ready + {waiting} waiting + {leased} leased "
        "+ {dead} dead + {discarded} discarded"
    ).format(**requests)
    for name, books in ledger.items():
        if books["difference"]:
            yield f"  THE BOOKS DO NOT BALANCE: {books['difference']} {name} are unaccounted for"
    for alert in document["alerts"][:MOST]:
        yield f"  ALERT {alert['name']}: {alert['message']}"
