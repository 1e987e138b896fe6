"""Imports exported state into the job of a crawl. Dead letters as JSON, and back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scrapy_t8.core.offline.resume_points import record_of
from scrapy_t8.errors import FormatError
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.model.batch import CommitBatch, PointRecord
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.json_document import VERSION, Document, json_value
from scrapy_t8.model.resume_point import ResumePoint
from scrapy_t8.service.import_export import located
from scrapy_t8.stores.base import Store
from scrapy_t8.stores.owned import open_for_changes
from scrapy_t8.utils.checked import checked_text
from scrapy_t8.utils.times import moment

FIELDS = {name: kind.__forward_arg__ for name, kind in DeadLetter.__annotations__.items() if name != "id"}
FIELDS["buried_at"] = "datetime"
"""The fields of a dead letter as JSON, and their kinds. Its id belongs to the store."""


class ImportSummary(NamedTuple):
    """What was imported, and what was left out."""

    resume_points: int = 0
    failed_tasks: int = 0
    states: int = 0
    dead_letters: int = 0
    left: int = 0  # Tasks for which a crawl has no place, or dead letters for which a service has none

    def lines(self) -> Iterator[str]:
        names = ("resume_points", "failed_tasks", "states", "dead_letters")
        yield "Imported: " + ", ".join(f"{getattr(self, name):,} {name.replace('_', ' ')}" for name in names)
        if self.left:
            yield f"left out: {self.left:,}; a crawl has no tasks that wait, a service no dead letters"


def import_into_crawl(directory: Path, document: Any) -> ImportSummary:
    """Import *document* into the crawl's job in *directory*, in one transaction.

    Points that are newer in the job stay, as do dead letters that the job has, or has had itself.
    """
    points, letters, left = _read(document)
    with open_for_changes(directory / "t8") as (store, job):
        newer = list(_newer(points, store))
        known = {(letter.job, letter.entry, letter.buried_at) for letter in store.box.letters()}
        new = [one for one in letters if one.job != job.id and (one.job, one.entry, one.buried_at) not in known]
        store.commit(CommitBatch(points=newer, buried=new), job, time.time())
    return ImportSummary(resume_points=len(newer), dead_letters=len(new), left=left)


def _newer(points: list[PointRecord], store: Store) -> Iterator[PointRecord]:
    """Yield each of *points* that is newer than the stored point of its task type and name, or new."""
    stored = {(record.task_type, record.name): record for record in store.points.all()}
    for record in points:
        old = stored.get((record.task_type, record.name))
        if old is None or old.point().last_update < record.point().last_update:
            yield record


def _read(document: Any) -> tuple[list[PointRecord], list[DeadLetter], int]:
    """Return the points and letters of *document*, and the number of tasks that a crawl cannot take."""
    if not isinstance(document, Mapping) or not isinstance(document.get("states"), list):
        raise FormatError("states: the job of a crawl imports only what export has written", "states")
    if document.get("version", VERSION) != VERSION:
        raise FormatError(f"version: this scrapy_t8 reads version {VERSION}, not {document['version']!r}", "version")
    points: list[PointRecord] = []
    letters: list[DeadLetter] = []
    left = 0
    for where, state in _each(document, "states"):
        tasks = state.get("failed_tasks", [])
        # Tasks that were given up come as dead letters.
        left += sum(1 for task in tasks if isinstance(task, Mapping) and task.get("next_retry_time"))
        for place, point in _each(state, "resume_points"):
            with located(f"{where}: {place}"):
                points.append(_point(point))
    for where, letter in _each(document, "dead_letters"):
        with located(where):
            letters.append(to_letter(letter))
    return points, letters, left


def _each(document: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects of a list in *document*, each with its place."""
    found = document.get(name, [])
    if not isinstance(found, list):
        raise FormatError(f"{name}: a list is needed", name)
    for number, part in enumerate(found):
        if not isinstance(part, Mapping):
            raise FormatError(f"{name}[{number}]: an object is needed", name)
        yield f"{name}[{number}]", part


def _point(document: Mapping[str, Any]) -> PointRecord:
    point = ResumePoint.from_dict(document)
    checked_text("task_type", point.task_type)
    return record_of(point, checked_text("name", document.get("name", ""), empty=True))


def from_letter(letter: DeadLetter) -> dict[str, Any]:
    """Return all of *letter*, which was read whole, as a JSON object. ``payload`` is its request as it is stored."""
    values = {name: getattr(letter, name) for name in FIELDS} | {"buried_at": moment(letter.buried_at)}
    return {name: json_value(value) for name, value in values.items()}


def to_letter(document: Mapping[str, Any]) -> DeadLetter:
    """Return the letter of a JSON object. An error names the field that is missing, or is not what it should be."""
    given = Document("DeadLetter", document)
    values = {name: given.read(name, FIELDS[name]) for name in ("payload", *FIELDS)}
    try:
        AttemptHistory.loads(values["story"])
    except (ValueError, TypeError) as error:
        raise FormatError(f"story: {error}", "story") from None
    return DeadLetter(**values | {"buried_at": values["buried_at"].timestamp()})
