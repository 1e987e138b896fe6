"""Takes exported state into the job of a crawl."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.core.offline.resume_points import record_of
from scrapy_t8.errors import FormatError
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.model.batch import CommitBatch, PointRecord
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.json_document import VERSION
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.stores.owned import open_for_changes
from scrapy_t8.utils.checked import checked_text

from .letter_json import to_letter


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What was taken in, and what was left."""

    resume_points: int = 0
    failed_tasks: int = 0
    states: int = 0
    dead_letters: int = 0
    left: int = 0
    """Tasks for which a crawl has no place, or dead letters for which a service has none."""

    def lines(self) -> Iterator[str]:
        names = ("resume_points", "failed_tasks", "states", "dead_letters")
        yield "Taken in: " + ", ".join(f"{getattr(self, name):,} {name.replace('_', ' ')}" for name in names)
        if self.left:
            yield f"{self.left:,} were left: a crawl keeps requests and a service keeps tasks, and neither the other's"


def taken_in(call: CommandContext, document: Any) -> ImportSummary:
    """Take *document* into the crawl's job, in one transaction.

    Points that are newer stay, as do letters that are there, or that this very job has seen the end of.

    :raises FormatError: naming what is not as it must be, and where.
    :raises JobLocked: if the crawl is running.
    """
    points, letters, left = _read(document)
    with open_for_changes(call.directory / "t8") as (store, job):
        newer = [record for record in points if _is_newer(record, store.points.all())]
        known = {(letter.job, letter.entry, letter.buried_at) for letter in store.box.letters()}
        new = [one for one in letters if one.job != job.id and (one.job, one.entry, one.buried_at) not in known]
        store.commit(CommitBatch(points=newer, buried=new), job, time.time())
    return ImportSummary(resume_points=len(newer), dead_letters=len(new), left=left)


def _is_newer(record: PointRecord, there: list[PointRecord]) -> bool:
    old = [one for one in there if (one.task_type, one.name) == (record.task_type, record.name)]
    return not old or old[0].point().last_update < record.point().last_update


def _read(document: Any) -> tuple[list[PointRecord], list[DeadLetter], int]:
    """Points, letters, and the number of tasks that a crawl cannot take."""
    if not isinstance(document, Mapping) or not isinstance(document.get("states"), list):
        raise FormatError("states: the job of a crawl takes in what export has written", "states")
    if document.get("version", VERSION) != VERSION:
        raise FormatError(f"version: this scrapy_t8 reads version {VERSION}, not {document['version']!r}", "version")
    points: list[PointRecord] = []
    left = 0
    for where, state in _each(document, "states"):
        tasks = state.get("failed_tasks", [])
        # Those that are given up come as dead letters.
        left += sum(1 for task in tasks if isinstance(task, Mapping) and task.get("next_retry_time"))
        points += [_point(f"{where}: {place}", point) for place, point in _each(state, "resume_points")]
    letters = [_letter(where, one) for where, one in _each(document, "dead_letters")]
    return points, letters, left


def _each(document: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a list in *document*, and where each is."""
    found = document.get(name, [])
    if not isinstance(found, list):
        raise FormatError(f"{name}: a list is needed", name)
    for number, part in enumerate(found):
        if not isinstance(part, Mapping):
            raise FormatError(f"{name}[{number}]: an object is needed", name)
        yield f"{name}[{number}]", part


def _point(where: str, document: Mapping[str, Any]) -> PointRecord:
    try:
        point = ResumePoint.from_dict(document)
        checked_text("task_type", point.task_type)
        return record_of(point, checked_text("name", document.get("name", ""), empty=True))
    except FormatError as error:
        raise FormatError(f"{where}: {error}", error.field) from None


def _letter(where: str, document: Mapping[str, Any]) -> DeadLetter:
    try:
        letter = to_letter(document)
        AttemptHistory.loads(letter.story)
    except FormatError as error:
        raise FormatError(f"{where}: {error}", error.field) from None
    except (ValueError, TypeError) as error:
        raise FormatError(f"{where}: story: {error}", "story") from None
    return letter
