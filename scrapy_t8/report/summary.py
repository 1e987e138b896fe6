"""The report in a few lines, for the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scrapy_t8.config.causes import LEFT
from scrapy_t8.utils.text import counted, shortened

from .next_steps import accept_step, heal_step, open_causes, revive_step, what_follows

MOST = 8
"""Causes, and alerts, that have a line each."""
WORDS = {
    "not_fetched": "not yet fetched",
    "waiting": "waiting for another try",
    "dead": "given up,",
    "no_item": "fetched, but no item yielded",
    "dropped": "dropped by",
    "failed": "failed in",
    "discarded": "request discarded",
    LEFT: "left on purpose with the close reason",
    "never_linked": "never linked",
    "unnamed": "known by number only",
}


def summary(document: dict[str, Any], jobdir: Path) -> str:
    """Return the most important of a report, on a few lines. Its commands are for the job in *jobdir*."""
    return "\n".join(_lines(document, jobdir))


def _lines(document: dict[str, Any], jobdir: Path) -> Iterator[str]:
    ledger, causes, expected = document["ledger"], document["missing"]["causes"], document["ledger"]["expected"]
    now = " (running)" if document["running"] else ""
    yield f"Integrity report of {document['job']['id']}: {document['verdict'].upper()}{now}"
    if expected["expected"]:
        missing = counted(expected["missing"], "is", "are")
        yield f"  {expected['collected']:,} of {expected['expected']:,} expected items are there, {missing} missing"
    for row in causes[:MOST]:
        cause = " ".join(filter(None, (WORDS.get(row["cause"], row["cause"]), row["detail"])))
        names = ", ".join(str(example.get("key", example.get("source"))) for example in row["examples"][:3])
        yield f"    {row['count']:,} {cause}: {names}{', ...' if row['count'] > 3 else ''}"
    if len(causes) > MOST:
        yield f"    and {len(causes) - MOST} other causes"
    if step := heal_step(document, jobdir):
        yield f"    {step}"
    yield from without_result_lines(document, jobdir)
    # A report of an earlier release has no such part.
    if left := document.get("left", {}).get("count"):
        requests = counted(left, "request was", "requests were")
        yield f"  {requests} left on purpose: close reason {document['left']['reason']!r}"
    if not (document["running"] or document["job"].get("start_done", True)):
        yield "  start() was not read to its end"
    for reason in document["unproven"]:
        yield f"  NOT PROVEN: {reason}"
    if document["healing"]["asked"]:
        form = "  healed: {collected:,} of {asked:,}, {left:,} under way, {impossible:,} that cannot be requested"
        yield form.format(**document["healing"])
    yield from account_lines({"items": ledger["items"], "requests": ledger["requests"]})
    yield from difference_lines(ledger)
    yield from feed_lines(document["feeds"])
    if not open_causes(document) and (step := accept_step(document)):
        yield f"    {step}"
    if document["job"].get("doubt"):
        yield f"  DOUBT: {document['job']['doubt']}"
    for alert in document["alerts"][:MOST]:
        yield f"  ALERT {alert['name']}: {alert['message']}"
    if follows := what_follows(document):
        yield f"  next: {follows}"


def without_result_lines(document: Mapping[str, Any], jobdir: Path) -> Iterator[str]:
    """Yield lines about requests without a result: those not accepted, what to do about them, those accepted."""
    causes, shown = document["without_result"]["causes"], open_causes(document)
    if shown:
        yield f"  {document['without_result']['count']:,} without a result:"
    for row in shown[:MOST]:
        yield f"    {row['count']:,} {row['cause']}{_what(row)}{_urls(row)}"
        for error in row["errors"][:3] if len(row["errors"]) > 1 else ():
            yield f"      {error['count']:,} in {error['callback']}: {error['error']}"
    if len(shown) > MOST:
        yield f"    and {len(shown) - MOST} other causes"
    steps = (revive_step(document, jobdir), accept_step(document) if shown else None)
    yield from (f"    {step}" for step in steps if step)
    accepted = [
        f"{row['count']:,} {row['cause']}" for row in causes if row["accepted"] and not row["cause"].startswith(LEFT)
    ]
    if accepted:
        yield f"  accepted without a result: {', '.join(accepted[:MOST])}{', ...' if len(accepted) > MOST else ''}"


def _what(row: Mapping[str, Any]) -> str:
    """Return callback and note of a cause whose examples agree."""
    callbacks, notes = ({example[name] for example in row["examples"]} for name in ("callback", "note"))
    callback, note = (found.pop() if len(found) == 1 else "" for found in (callbacks, notes))
    return f"{f' in {callback}' if callback else ''}{f' ({note})' if note else ''}"


def _urls(row: Mapping[str, Any]) -> str:
    urls = [shortened(example["url"]) for example in row["examples"] if example["url"]][:3]
    return f": {', '.join(urls)}{', ...' if row['count'] > len(urls) else ''}" if urls else ""


def account_lines(accounts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield for each account what its total consists of, as ``items: 3 scraped = 2 exported + 1 duplicate``.

    Parts that are 0 are left out; of a total of 0, only the first part stays.
    """
    for name, account in accounts.items():
        total, *parts = [(count, what) for what, count in account.items() if what != "difference"]
        shown = [part for part in parts if part[0]] or parts[:1]
        whole, *rest = [f"{count:,} {what}" for count, what in (total, *shown)]
        yield f"  {name}: {whole} = {' + '.join(rest)}"


def feed_lines(feeds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each feed that lacks items, or has data that are not counted, also if that is accepted."""
    for feed in feeds:
        refused = [f"{count:,} not taken ({why})" for why, count in feed["refused"].items()]
        rest = feed["missing"] - feed["lost"] - feed["batches"] - sum(feed["refused"].values())
        why = [f"{feed['lost']:,} lost"] * bool(feed["lost"]) + refused
        why += [f"{feed['batches']:,} lost with their batches"] * bool(feed["batches"])
        why += [f"{rest:,} exported when it was not named"] * bool(rest)
        parts = [f"lacks {feed['missing']:,} items: {'; '.join(why)}"] * bool(feed["missing"])
        parts += [f"holds {feed['altered']:,} items with a value kept as text"] * bool(feed["altered"])
        parts += [f"holds {feed['foreign']:,} bytes that other programs have written"] * bool(feed["foreign"])
        if parts:
            yield f"  {'FEED' if feed['doubts'] else 'accepted: feed'} {feed['uri']} {'. It '.join(parts)}"


def difference_lines(accounts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield a line for each account that does not balance."""
    for name, account in accounts.items():
        if account["difference"]:
            yield f"  THE LEDGER DOES NOT BALANCE: {account['difference']:,} {name} are unaccounted for"
