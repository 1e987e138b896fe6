"""All state of the service as JSON, out and in.

The form is ``{"version": 1, "exported_at": ..., "states": [...]}`` with a ``CollectionState`` for each task type; a
resume point in it also tells its ``name``, if it has one. What is read may also be a single document (a
``CollectionState``, a ``ResumePoint``, a ``FailedTask``), a list of documents, or an object of such lists.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy_t8.errors import FormatError
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.json_document import VERSION
from scrapy_t8.model.resume_point import RUNNING, STATUSES, STOPPED, CollectionState, ResumePoint
from scrapy_t8.utils.checked import checked_metadata, checked_number, checked_text
from scrapy_t8.utils.files import replacing
from scrapy_t8.utils.text import to_json
from scrapy_t8.utils.times import isoformat, moment

from .runs import StoredRun

if TYPE_CHECKING:
    from .state_manager import StateManager

Place = tuple[str, Any]
"""Where in the file a document is, and the document."""


@dataclass(slots=True)
class ImportPlan:
    """What is going to be taken in."""

    states: list[CollectionState] = field(default_factory=list)
    points: list[tuple[str, ResumePoint]] = field(default_factory=list)
    tasks: dict[str, FailedTask] = field(default_factory=dict)


def export_state(manager: StateManager, path: str | Path | None) -> dict[str, Any]:
    names: dict[str, list[str]] = {}
    for task_type, name in manager.resume_points():
        names.setdefault(task_type, []).append(name)
    states = [_named(state.to_dict(), names.get(state.task_type, [])) for state in manager.states()]
    document = {"version": VERSION, "exported_at": isoformat(moment(time.time())), "states": states}
    if path is not None:
        _write(Path(path), document)
    return document


def _named(state: dict[str, Any], names: list[str]) -> dict[str, Any]:
    for point, name in zip(state["resume_points"], names, strict=False):
        if name:
            point["name"] = name
    return state


def _write(path: Path, document: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.write(to_json(document, indent=1) + "\n")


def import_state(manager: StateManager, source: str | Path | Mapping[str, Any] | list[Any]) -> dict[str, int]:
    found = ImportPlan()
    for place in _documents(source):
        _read(place, found)
    manager.open()
    taken = {"resume_points": 0, "failed_tasks": 0, "states": 0}
    known, runs = manager.resume_points(), manager.runs.all()
    with manager.updates.batch(size=1 << 62):
        for name, point in found.points:
            old = known.get((point.task_type, name))
            if old is None or old.last_update < point.last_update:
                known[point.task_type, name] = point
                manager.points.set(point, name)
                taken["resume_points"] += 1
        for task in found.tasks.values():
            taken["failed_tasks"] += manager.tasks.restore(task)
        for state in found.states:
            run = runs.get(state.task_type)
            if run is None or run.last_update < state.last_update.timestamp():
                manager.runs.put(_run(state))
                taken["states"] += 1
    manager.tasks.added("", 0.0)
    return taken


def _documents(source: str | Path | Mapping[str, Any] | list[Any]) -> Iterator[Place]:
    if isinstance(source, (str, Path)):
        yield from _within(str(source), _load(Path(source)))
    else:
        yield from _within("", source)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON: {error}") from None


def _within(where: str, content: Any) -> Iterator[Place]:
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
        raise FormatError(f"{where or 'the document'}: there is no state in it: it needs states", "states")
    for name, part in lists.items():
        parts = part.items() if isinstance(part, Mapping) else enumerate(part)
        for key, document in parts:
            yield f"{where}: {name}[{key!r}]" if where else f"{name}[{key!r}]", document


def _read(place: Place, found: ImportPlan) -> None:
    where, document = place
    try:
        if isinstance(document, Mapping) and "run_id" in document:
            _add_state(document, found)
        elif isinstance(document, Mapping) and "task_id" in document:
            _add_task(FailedTask.from_dict(document), found)
        else:
            _add_point(document, found)
    except FormatError as error:
        raise FormatError(f"{where}: {error}" if where else str(error), error.field) from None


def _add_state(document: Mapping[str, Any], found: ImportPlan) -> None:
    state = CollectionState.from_dict(document)
    if state.status not in STATUSES:
        raise FormatError(f"status: one of {', '.join(STATUSES)} is needed, not {state.status!r:.60}", "status")
    for name in ("total_items", "processed_items", "failed_items"):
        checked_number(name, getattr(state, name))
    checked_text("task_type", state.task_type)
    found.states.append(state)
    for point in document["resume_points"]:
        _add_point(point, found)
    for task in state.failed_tasks:
        _add_task(task, found)


def _add_point(document: Any, found: ImportPlan) -> None:
    point = ResumePoint.from_dict(document)
    checked_text("task_type", point.task_type)
    checked_number("current_page", point.current_page)
    checked_number("total_processed", point.total_processed)
    point.metadata = checked_metadata(point.metadata)
    found.points.append((checked_text("name", document.get("name", ""), empty=True), point))


def _add_task(task: FailedTask, found: ImportPlan) -> None:
    for name in ("task_id", "task_type"):
        checked_text(name, getattr(task, name))
    for name in ("target", "error_message"):
        checked_text(name, getattr(task, name), empty=True)
    for name in ("retry_count", "max_retries"):
        checked_number(name, getattr(task, name))
    task.metadata = checked_metadata(task.metadata)
    found.tasks[task.task_id] = task


def _run(state: CollectionState) -> StoredRun:
    # Whoever ran it does not run here.
    status = STOPPED if state.status == RUNNING else state.status
    return StoredRun(
        state.run_id,
        state.task_type,
        status,
        state.start_time.timestamp(),
        state.last_update.timestamp(),
        state.total_items,
        state.processed_items,
        state.failed_items,
    )
