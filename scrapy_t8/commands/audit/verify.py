"""``scrapy t8 verify``: do the books hold, counted anew?"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scrapy_t8.commands.context import CommandContext, JobView
from scrapy_t8.commands.job_view import points, tasks
from scrapy_t8.commands.registry import DIFFERENT, FINE, Command
from scrapy_t8.errors import T8Error

from .feed_counts import CannotCount, count, files_of


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was counted.

    :param ok: None if it cannot be counted, and *note* says why.
    """

    what: str
    books: int | None
    found: int | None
    ok: bool | None
    note: str = ""


def _run(call: CommandContext) -> int:
    with call.looking() as look:
        checks = list(_checks(look, call.directory))
    well = all(check.ok is not False for check in checks)
    if call.options.json:
        call.screen.json({"version": 1, "ok": well, "checks": [asdict(check) for check in checks]})
    else:
        words = {True: "ok", False: "DIFFERENT", None: "not counted"}
        cells = [(words[check.ok], check.what, check.books, check.found, check.note) for check in checks]
        call.screen.table("Counted anew", ("result", "what", "#books", "#found", "note"), cells)
        differences = sum(check.ok is False for check in checks)
        call.screen.say("All is as the books say." if well else f"{differences} of {len(checks)} differ.")
    return FINE if well else DIFFERENT


def _checks(look: JobView, directory: Path) -> Iterator[Check]:
    damage = look.reader.damage()
    yield Check("pages of the state file", None, None, not damage, damage)
    yield from _requests(look)
    yield _readable("resume points", lambda: len(points(look)))
    if look.of_service:
        yield _readable("failed tasks", lambda: sum(1 for _ in tasks(look)))
        return
    yield from _items(look)
    for name, record in look.reader.feeds().items():
        kind = name.partition(":")[0]
        if kind == "feed":
            yield _continued(look, directory / "t8", name, record)
        elif kind == "target":
            yield _whole(look, record)
        elif name == "spool":
            yield _spool(directory / "t8" / "items.spool", record)


def _same(what: str, books: int, found: int, note: str = "") -> Check:
    return Check(what, books, found, books == found, note)


def _readable(what: str, read: Any) -> Check:
    try:
        return Check(what, None, read(), True)
    except (T8Error, ValueError, TypeError, KeyError) as error:
        return Check(what, None, None, False, str(error))


# -- the ledger --------------------------------------------------------------------------------------------------


def _requests(look: JobView) -> Iterator[Check]:
    reader, books = look.reader, look.job.ledger
    stored, waiting, _ = reader.sizes()
    noun = "tasks" if look.of_service else "requests"
    found = books.done + books.discarded + books.dead + stored + waiting
    yield _same(f"{noun} admitted", books.admitted, found, "done, discarded and dead ones, and those that are stored")
    yield _same("dead letters of this job", books.dead, reader.count_dead(look.job.id))
    homeless, bodiless = reader.strays()
    yield _same("dead letters without their request", 0, bodiless)
    if not look.of_service:
        wrong = reader.wrong_queues()
        queues = ", ".join(f"{key}: {noted} noted, {there} there" for key, noted, there in wrong[:3])
        yield _same("queues whose length is wrong", 0, len(wrong), queues)
        yield _same("requests in no queue", 0, homeless)


def _items(look: JobView) -> Iterator[Check]:
    books = look.job.ledger
    lost = {"dropped": 0, "failed": 0}
    for loss in look.reader.losses():
        lost[loss.kind] += loss.times
    found = books.exported + books.duplicate + books.dropped + books.failed
    yield _same("items scraped", books.scraped, found, "exported, duplicate, dropped and failed ones")
    yield _same("items dropped", books.dropped, lost["dropped"], "by the reasons that are noted")
    yield _same("items failed", books.failed, lost["failed"], "by the reasons that are noted")


# -- feeds -------------------------------------------------------------------------------------------------------


def _continued(look: JobView, state: Path, name: str, record: dict[str, Any]) -> Check:
    what, books = f"items in {record['uri']}", record["total"]
    header = (record["header"] or "").encode("latin-1")
    found = 0
    try:
        for path, start, end in files_of(state, name, record):
            if end is not None and path.stat().st_size < end:
                note = f"it has {end - path.stat().st_size} bytes less than at the last commit"
                return Check(what, books, None, False, note)
            found += count(path, start, end, record["format"], header)
    except CannotCount as why:
        return Check(what, books, None, None, str(why))
    except (OSError, ValueError) as error:
        return Check(what, books, None, False, str(error))
    if books > look.job.ledger.exported:
        return Check(what, look.job.ledger.exported, books, False, "more than were exported")
    return _same(what, books, found)


def _whole(look: JobView, record: dict[str, Any]) -> Check:
    what, books = f"items in {record['uri']}", record.get("items")
    if books is None:
        return Check(what, None, None, None, "no run has ended yet, and it is written at the end of a run")
    if not record["path"]:
        return Check(what, books, None, None, "it is not in a local file")
    path = Path(record["path"])
    if not books and not path.exists():
        return _same(what, 0, 0)
    format_ = "csv with header" if record["format"] == "csv" and not record["base"] else record["format"]
    try:
        return _same(what, books, count(path, record["base"], None, format_))
    except CannotCount as why:
        return Check(what, books, None, None, str(why))
    except (OSError, ValueError, EOFError) as error:
        return Check(what, books, None, False, str(error))


def _spool(path: Path, record: dict[str, Any]) -> Check:
    """The items of all runs, from which whole feeds are written: whether it can be read to where it must end."""
    what, length, at = "items kept for feeds that are written whole", record["length"] or 0, 0
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


COMMANDS = (
    Command(
        "verify",
        "Count feed files and the ledger anew, and compare: is what the books say true?",
        (
            ("verify", "a table of all that was counted"),
            ("verify --json --jobdir jobs/cars || alert", "for programs; it ends with 3 if anything differs"),
        ),
        run=_run,
        has_json=True,
        statuses={DIFFERENT: "something differs"},
    ),
)
