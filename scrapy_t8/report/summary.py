"""The report in a few lines, for the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST = 8
"""Causes, and alerts, that have a line each."""
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
    """Return the most important of a report, on a few lines."""
    return "\n".join(_lines(document))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    ledger, causes, expected = document["ledger"], document["missing"]["causes"], document["ledger"]["expected"]
    yield f"Integrity report of {document['job']['id']}: {document['verdict'].upper()}"
    if expected["expected"]:
        yield "  {collected:,} of {expected:,} expected items are there, {missing:,} are missing".format(**expected)
    for row in causes[:MOST]:
        cause = " ".join(filter(None, (WORDS.get(row["cause"], row["cause"]), row["detail"])))
        names = ", ".join(str(example.get("key", example.get("source"))) for example in row["examples"][:3])
        yield f"    {row['count']:,} {cause}: {names}{', ...' if row['count'] > 3 else ''}"
    if len(causes) > MOST:
        yield f"    and {len(causes) - MOST} other causes"
    if document["healing"]["asked"]:
        form = "  healed: {collected:,} of {asked:,}, {left:,} under way, {impossible:,} that cannot be requested"
        yield form.format(**document["healing"])
    yield from account_lines({"items": ledger["items"], "requests": ledger["requests"]})
    yield from difference_lines(ledger)
    yield from feed_lines(document["feeds"])
    if document["job"].get("doubt"):
        yield f"  DOUBT: {document['job']['doubt']}"
    for alert in document["alerts"][:MOST]:
        yield f"  ALERT {alert['name']}: {alert['message']}"


def account_lines(accounts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield for each account what its total consists of, as ``items: 3 scraped = 2 exported + 1 duplicate``."""
    for name, account in accounts.items():
        whole, *parts = [f"{count:,} {what}" for what, count in account.items() if what != "difference"]
        yield f"  {name}: {whole} = {' + '.join(parts)}"


def feed_lines(feeds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each feed that lacks items, or holds what nobody counts."""
    for feed in feeds:
        if feed["missing"] or feed["foreign"]:
            refused = [f"{count:,} not taken ({why})" for why, count in feed["refused"].items()]
            rest = feed["missing"] - feed["lost"] - sum(feed["refused"].values())
            parts = [f"{feed['lost']:,} lost"] * bool(feed["lost"]) + refused
            parts += [f"{rest:,} from when it was not named"] * bool(rest)
            parts += [f"{feed['foreign']:,} bytes of other programs in it"] * bool(feed["foreign"])
            yield f"  FEED {feed['uri']}: lacks {feed['missing']:,} items: {'; '.join(parts)}"


def difference_lines(accounts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield a line for each account that does not balance."""
    for name, account in accounts.items():
        if account["difference"]:
            yield f"  THE BOOKS DO NOT BALANCE: {account['difference']:,} {name} are unaccounted for"
