"""All state of the service as JSON, out and in.

The form is ``{"version": 1, "exported_at": ..., "states": [...]}`` with a ``CollectionState`` for each task type; a
resume point in it also has its ``name``, if it has one. What is read may also be a single document (a
``CollectionState``, a ``ResumePoint``, a ``FailedTask``), a list of documents, or an object of such lists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from scrapy_t8.errors import FormatError
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.json_document import VERSION
from scrapy_t8.model.resume_point import CollectionState, ResumePoint
from scrapy_t8.service.retries.failed_tasks import ANY, FailedTasks
from scrapy_t8.utils.checked import checked_metadata, checked_number, checked_text
from scrapy_t8.utils.times import isoformat, moment

from .resume_points import StoredResumePoints, check_point
from .runs import NUMBERS, Runs, StoredRun, checked_status
from .write_batch import EVERYTHING

Source: TypeAlias = "str | Path | Mapping[str, Any] | list[Any]"
"""A file, or the content of one."""
Place = tuple[str, Any]
"""Where in the file a document is, and the document."""


# -- out ---------------------------------------------------------------------------------------------------------


def export_document(states: Iterable[CollectionState], points: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return *states* as JSON. *points* are task types and names of their resume points, in this order."""
    names: dict[str, list[str]] = {}
    for task_type, name in points:
        names.setdefault(task_type, []).append(name)
    documents = [_with_names(state.to_dict(), names.get(state.task_type, [])) for state in states]
    return {"version": VERSION, "exported_at": isoformat(moment(time.time())), "states": documents}


def _with_names(state: dict[str, Any], names: list[str]) -> dict[str, Any]:
    for point, name in zip(state["resume_points"], names, strict=False):
        if name:
            point["name"] = name
    return state


# -- in ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ImportPlan:
    """What an import is to add."""

    states: list[CollectionState] = field(default_factory=list)
    points: list[tuple[str, ResumePoint]] = field(default_factory=list)
    tasks: dict[str, FailedTask] = field(default_factory=dict)


def read_plan(source: Source) -> ImportPlan:
    """Return the content of *source*. A FormatError names an invalid value and its place."""
    plan = ImportPlan()
    for where, document in _documents(source):
        with located(where):
            _add(document, plan)
    return plan


@contextmanager
def located(where: str) -> Iterator[None]:
    """Have a FormatError that is raised inside say *where* its document is."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{where}: {error}" if where else str(error), error.field) from None


def import_plan(plan: ImportPlan, points: StoredResumePoints, tasks: FailedTasks, runs: Runs) -> dict[str, int]:
    """Add *plan* in one transaction, except what the state already has, or has newer. Return the numbers."""
    added = {"resume_points": 0, "failed_tasks": 0, "states": 0}
    known_points, known_runs = points.resume_points(), runs.all()
    with runs.writes.batch(size=EVERYTHING):
        for name, point in plan.points:
            old = known_points.get((point.task_type, name))
            if old is None or old.last_update < point.last_update:
                known_points[point.task_type, name] = point
                points.set(point, name)
                added["resume_points"] += 1
        for task in plan.tasks.values():
            added["failed_tasks"] += tasks.restore(task)
        for state in plan.states:
            run = known_runs.get(state.task_type)
            if run is None or run.last_update < state.last_update.timestamp():
                runs.put(StoredRun.of(state))
                added["states"] += 1
    tasks.added(ANY, 0.0)
    return added


def _documents(source: Source) -> Iterator[Place]:
    """Yield the single documents in *source*."""
    where, content = (str(source), _load(Path(source))) if isinstance(source, (str, Path)) else ("", source)
    if isinstance(content, list):
        for number, part in enumerate(content):
            yield f"{where}[{number}]", part
        return
    if not isinstance(content, Mapping) or "task_type" in content:
        yield where, content
        return
    if content.get("version", VERSION) != VERSION:
        version = content["version"]
        raise FormatError(f"{where}: version: this scrapy_t8 reads version {VERSION}, not {version!r}", "version")
    lists = {name: part for name, part in content.items() if isinstance(part, (list, Mapping))}
    if not lists and "states" not in content:
        raise FormatError(f"{where or 'the document'}: it has no states", "states")
    for name, part in lists.items():
        for key, document in part.items() if isinstance(part, Mapping) else enumerate(part):
            yield f"{where}: {name}[{key!r}]" if where else f"{name}[{key!r}]", document


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {error}") from None


def _add(document: Any, plan: ImportPlan) -> None:
    if isinstance(document, Mapping) and "run_id" in document:
        _add_state(document, plan)
    elif isinstance(document, Mapping) and "task_id" in document:
        _add_task(FailedTask.from_dict(document), plan)
    else:
        _add_point(document, plan)


def _add_state(document: Mapping[str, Any], plan: ImportPlan) -> None:
    state = CollectionState.from_dict(document)
    checked_status(state.status)
    _check(state, texts=("task_type",), numbers=NUMBERS)
    plan.states.append(state)
    for point in document["resume_points"]:
        _add_point(point, plan)
    for task in state.failed_tasks:
        _add_task(task, plan)


def _add_point(document: Any, plan: ImportPlan) -> None:
    point = ResumePoint.from_dict(document)
    check_point(point)
    plan.points.append((checked_text("name", document.get("name", ""), empty=True), point))


def _add_task(task: FailedTask, plan: ImportPlan) -> None:
    _check(task, texts=("task_id", "task_type"), numbers=("retry_count", "max_retries"))
    for name in ("target", "error_message"):
        checked_text(name, getattr(task, name), empty=True)
    task.metadata = checked_metadata(task.metadata)
    plan.tasks[task.task_id] = task


def _check(document: object, *, texts: Iterable[str], numbers: Iterable[str]) -> None:
    for name in texts:
        checked_text(name, getattr(document, name))
    for name in numbers:
        checked_number(name, getattr(document, name))
