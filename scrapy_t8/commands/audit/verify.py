"""``scrapy t8 verify``: do ledger and feeds agree, counted anew?"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.registry import MISMATCH, OK, command
from scrapy_t8.errors import T8Error
from scrapy_t8.model.items import FeedBalance

from .feed_counts import CannotCount, count, files_of


class Check(NamedTuple):
    """One thing that was counted.

    :param books: the number that the ledger has.
    :param found: the number that was counted.
    :param ok: None if it cannot be counted; *note* gives the reason.
    """

    what: str
    books: int | None
    found: int | None
    ok: bool | None
    note: str = ""


@command("verify", has_json=True, statuses={MISMATCH: "something differs"})
def _run(context: CommandContext) -> int:
    """Count feed files and the ledger anew, and compare the numbers.

    verify  # a table of everything that was counted
    verify --json --jobdir jobs/cars || alert  # for programs; it ends with 3 if anything differs
    """
    with context.view() as view:
        checks = list(_checks(view, context.directory))
    differences = sum(check.ok is False for check in checks)
    if context.options.json:
        rows = [check._asdict() for check in checks]
        context.terminal.print_json({"version": 1, "ok": not differences, "checks": rows})
    else:
        words = {True: "ok", False: "DIFFERENT", None: "not counted"}
        cells = [(words[check.ok], check.what, check.books, check.found, check.note) for check in checks]
        context.terminal.print_table("Counted anew", ("result", "what", "#books", "#found", "?*note"), cells)
        if context.terminal.is_terminal:  # where the column of notes is cut, or left out
            for check in checks:
                if check.note and not check.ok:
                    context.terminal.print_line(f"{check.what}: {check.note}")
        result = f"{differences} of {len(checks)} differ." if differences else "All counts match."
        context.terminal.print_line(result)
    return MISMATCH if differences else OK


def _checks(view: JobView, directory: Path) -> Iterator[Check]:
    damage = view.reader.damage()
    yield Check("pages of the state file", None, None, not damage, damage)
    yield from _requests(view)
    yield _counted("resume points", None, lambda: len(view.points()))
    if view.is_service:
        yield _counted("failed tasks", None, lambda: sum(1 for _ in view.tasks()))
        return
    yield from _items(view)
    feeds = view.reader.feeds()
    for name, record in feeds.items():
        if name.partition(":")[0] in ("feed", "target", "spool"):
            missing = FeedBalance.of(record).missing(view.job.ledger.exported)
            what = f"items that {record.get('uri', 'the spool')} lacks"
            yield _compare(what, 0, missing, "lost, not taken, or exported when the feed was not named")
    for name, record in feeds.items():
        kind = name.partition(":")[0]
        if kind == "feed":
            yield _appended_feed(view, directory / "t8", name, record)
        elif kind == "target":
            yield _rewritten_feed(record)
        elif name == "spool":
            yield _spool(directory / "t8" / "items.spool", record)


def _compare(what: str, books: int, found: int, note: str = "") -> Check:
    return Check(what, books, found, books == found, note)


def _requests(view: JobView) -> Iterator[Check]:
    reader, ledger = view.reader, view.job.ledger
    stored, waiting, _ = reader.sizes()
    noun = "tasks" if view.is_service else "requests"
    found = ledger.done + ledger.discarded + ledger.dead + stored + waiting
    yield _compare(f"{noun} admitted", ledger.admitted, found, "done, discarded, dead and stored ones")
    yield _compare("dead letters of this job", ledger.dead, reader.count_dead(view.job.id))
    homeless, bodiless = reader.strays()
    yield _compare("dead letters without their request", 0, bodiless)
    if not view.is_service:
        wrong = reader.wrong_queues()
        queues = ", ".join(f"{key}: {noted} noted, {there} there" for key, noted, there in wrong[:3])
        yield _compare("queues whose length is wrong", 0, len(wrong), queues)
        yield _compare("requests in no queue", 0, homeless)


def _items(view: JobView) -> Iterator[Check]:
    ledger = view.job.ledger
    lost = {"dropped": 0, "failed": 0}
    for loss in view.reader.losses():
        lost[loss.kind] += loss.times
    found = ledger.exported + ledger.duplicate + ledger.dropped + ledger.failed
    yield _compare("items scraped", ledger.scraped, found, "exported, duplicate, dropped and failed ones")
    yield _compare("items dropped", ledger.dropped, lost["dropped"], "by the noted reasons")
    yield _compare("items failed", ledger.failed, lost["failed"], "by the noted reasons")


def _appended_feed(view: JobView, state: Path, name: str, record: dict[str, Any]) -> Check:
    what, books = f"items in {record['uri']}", record["total"]
    header = (record["header"] or "").encode("latin-1")

    def counted() -> int:
        found = 0
        for path, start, end in files_of(state, name, record):
            if end is not None and path.stat().st_size < end:
                raise ValueError(f"it has {end - path.stat().st_size} bytes less than at the last commit")
            found += count(path, start, end, record["format"], header)
        return found

    check = _counted(what, books, counted)
    if check.found is not None and books > view.job.ledger.exported:
        return Check(what, view.job.ledger.exported, books, False, "more than were exported")
    return check


def _rewritten_feed(record: dict[str, Any]) -> Check:
    what, books = f"items in {record['uri']}", record.get("items")
    if books is None:
        return Check(what, None, None, None, "it is written at the end of a run, and no run has ended yet")
    if not record["path"]:
        return Check(what, books, None, None, "it is not in a local file")
    path = Path(record["path"])
    if not books and not path.exists():
        return _compare(what, 0, 0)
    format_ = "csv with header" if record["format"] == "csv" and not record["base"] else record["format"]
    return _counted(what, books, lambda: count(path, record["base"], None, format_))


def _counted(what: str, books: int | None, count: Callable[[], int]) -> Check:
    """Count what should be as many as *books*, or what should only be readable."""
    try:
        found = count()
    except CannotCount as why:
        return Check(what, books, None, None, str(why))
    except (T8Error, OSError, ValueError, TypeError, KeyError, EOFError) as error:
        return Check(what, books, None, False, str(error))
    return Check(what, books, found, books in (None, found))


def _spool(path: Path, record: dict[str, Any]) -> Check:
    """Check that the items of all runs, from which whole feeds are written, can be read to their end."""
    what, length, at = "items kept for rewritten feeds", record["length"] or 0, 0
    found = 0
    try:
        if not length:
            return Check(what, None, 0, True)
        with path.open("rb") as file:
            while at < length:
                file.seek(at)
                at += 4 + struct.unpack(">I", file.read(4))[0]
                found += 1
    except (OSError, struct.error) as error:
        return Check(what, None, found, False, str(error))
    whole = at == length and path.stat().st_size >= length
    return Check(what, None, found, whole, "" if whole else "it is cut short")


COMMANDS = (_run,)
