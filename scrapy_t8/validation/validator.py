"""Checks whether the records of a collector are consistent, and agree with its database."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterable, Iterable
from concurrent.futures import Future
from datetime import datetime, timezone
from typing import Any, Protocol

from scrapy_t8.errors import DatabaseError
from scrapy_t8.model.items import integrity_score
from scrapy_t8.model.resume_point import CollectionState, ResumePoint
from scrapy_t8.utils.text import one_line
from scrapy_t8.utils.threads import NoAnswer, in_loop_thread, in_thread, with_timeout

from .database import TIMEOUT, BoundedDatabase, Database, named
from .item_audit import ItemAudit, Items, items_of, reported_items, score_of
from .record_checks import Finding, finding_of, wrong_points, wrong_states, wrong_tasks

Histories = dict[str, dict[str, list[ResumePoint]]]
"""The current and earlier states of resume points, by task type and name."""


class States(Protocol):
    """Provides the state of each task type. With ``point_histories()``, it provides earlier states, too."""

    def states(self) -> Iterable[CollectionState]: ...


class ResumeValidator:
    """Checks runs, resume points, failed tasks, and the items in the user's database.

    One class for the service (``t8.validator = MyValidator(t8.state_manager, t8.db_manager)``) and for the report of a
    crawl (``T8_VALIDATOR``). Subclasses override :meth:`custom_validation`, :meth:`expected_keys`, :meth:`is_valid`.

    The **integrity score** is ``unique valid items / expected items``, from 0 to 1, over all task types whose number of
    expected items is known; None if there is no such type. Expected are the keys of :meth:`expected_keys`, else
    ``total_items`` of the run. Unique valid items are the different keys in the database for which :meth:`is_valid`
    holds, without unexpected keys if the expected ones are known; without a database they are ``processed_items`` of
    the run. A database that does not answer has none.

    :param state_manager: anything with ``states()``: a StateManager, or the ResumePoints of a job.
    :param db_manager: the user's database, if there is one. Plain methods are called in threads, async ones awaited.
    :param timeout: seconds for one answer of the database, and for the custom validation of one state.
    """

    def __init__(self, state_manager: States, db_manager: Database | None = None, *, timeout: float = TIMEOUT) -> None:
        self.state_manager = state_manager
        self.timeout = timeout
        self.db_manager = db_manager
        self._surplus: dict[str, int] = {}
        """By task type, the items of the database that do not count, as of the last validation."""
        self._wanted: dict[str, int] = {}
        """By task type, the number of expected keys, where they are known."""
        self.trouble = ""
        """Why the last score counts the database as empty; empty if it does not."""
        self._score: float | None = None
        self._next_score: Future[float | None] | None = None

    @property
    def db_manager(self) -> Database | None:
        return self._db_manager

    @db_manager.setter
    def db_manager(self, database: Database | None) -> None:
        self._db_manager = database
        self._bounded_database = None if database is None else BoundedDatabase(database, self.timeout)

    # -- to be overridden ----------------------------------------------------------------------------------------

    async def custom_validation(self, state: CollectionState) -> dict[str, Any]:
        """Check anything else. The method may be a plain one, which is called in a thread.

        The result is reported as it is. It is a finding if it has an ``error``, or if its ``valid`` is False.
        """
        return {}

    def expected_keys(self, task_type: str) -> Iterable[str] | AsyncIterable[str] | None:
        """Return the keys of the items that should be in the database; None if they are unknown.

        The result is an iterable of any length, or an async one. The method is called, and the iterable read, in a
        thread.
        """
        return None

    def is_valid(self, task_type: str, key: str) -> bool:
        """Whether the item with this *key* in the database counts as collected. The method is called in a thread."""
        return bool(key.strip())

    def work_of(self, point: ResumePoint) -> str:
        """Return the piece of work of *point*: two points of the same work can contradict each other.

        It is read from the metadata. Without any it is unknown (empty), as a crawl may have several points by name.
        """
        about = {name: value for name, value in point.metadata.items() if name != "total"}
        return json.dumps(about, sort_keys=True, default=str) if about else ""

    # -- checking ------------------------------------------------------------------------------------------------

    async def validate(self, now: datetime | None = None) -> dict[str, Any]:
        """Check everything. A check that fails is a finding; nothing is raised.

        Return a JSON object:

        - ``valid``: whether there are no findings.
        - ``integrity_score``: see above.
        - ``states``, ``resume_points``, ``failed_tasks``: lists of findings. A finding has ``rule``, ``task_type``,
          ``id`` (of the run, point or task), ``field`` and ``message``.
        - ``items``, by task type: ``expected`` (None: unknown), ``there`` (records), ``unique`` (valid, and expected if
          the expected keys are known), ``invalid``, ``duplicates`` (keys), ``duplicate_keys`` (examples, with their
          number), ``missing`` (None: unknown), ``missing_keys`` (examples), ``unexpected``.
        - ``custom``, by task type: the results of custom validation.
        - ``database``: empty without a database, else ``counts`` by task type and ``problems``, a list of findings.

        :param now: the time, with a time zone; None: the current time.
        """
        reads_anywhere = getattr(self.state_manager, "is_for_all_threads", False)
        read = await asyncio.to_thread(self._read) if reads_anywhere else self._read()
        return await self._validate(*read, now or datetime.now(timezone.utc))

    def validate_sync(self, now: datetime | None = None) -> dict[str, Any]:
        """Check everything as :meth:`validate` does, for plain code. A running event loop waits until then."""
        # The store of a crawl can be read in this thread only.
        read = self._read()
        return in_loop_thread(lambda: self._validate(*read, now or datetime.now(timezone.utc))).result()

    async def score(self) -> float | None:
        """Return the integrity score quickly: the database only counts.

        The items that the last :meth:`validate` found to be duplicate, invalid or unexpected are subtracted.
        """
        return await self._quick_score(self._runs())

    def score_now(self, *, wait: bool) -> float | None:
        """Return the integrity score as :meth:`score` does, for plain code.

        :param wait: wait for the database; if not, return the last score, None at first, and start to compute the next.
        """
        runs = self._runs()
        if self._bounded_database is None:
            return score_of({run.task_type: reported_items(run) for run in runs})
        if wait:
            return in_loop_thread(lambda: self._quick_score(runs)).result()
        if self._next_score is None or self._next_score.done():
            self._next_score = in_loop_thread(lambda: self._quick_score(runs))
        return self._score

    def _runs(self) -> list[CollectionState]:
        """Return the states; without their points and tasks, of which there may be many, if the manager can do so."""
        return list(getattr(self.state_manager, "run_states", self.state_manager.states)())

    def _read(self) -> tuple[list[CollectionState], Histories, list[Finding]]:
        """Return the states that can be read, the histories of points, and a finding if an error ended the reading."""
        states: list[CollectionState] = []
        try:
            states.extend(self.state_manager.states())
            histories = getattr(self.state_manager, "point_histories", dict)
            return states, histories(), []
        except Exception as error:
            where = str(getattr(error, "field", ""))
            message = f"the states cannot be read: {one_line(error)}"
            return states, {}, [finding_of("", "", "unreadable", where, message)]

    async def _validate(
        self, states: list[CollectionState], histories: Histories, unread: list[Finding], now: datetime
    ) -> dict[str, Any]:
        runs = await asyncio.to_thread(wrong_states, states, now)
        points = unread + await asyncio.to_thread(wrong_points, states, histories, self.work_of, now)
        tasks = await asyncio.to_thread(wrong_tasks, states, now)
        custom = await self._custom(states)
        items, database = await self._items(states)
        self._score = score_of(items)
        failed = any(one.get("error") or one.get("valid") is False for one in custom.values())
        bad = runs or points or tasks or database.get("problems") or failed
        return {
            "valid": not bad,
            "integrity_score": self._score,
            "states": runs,
            "resume_points": points,
            "failed_tasks": tasks,
            "items": items,
            "custom": custom,
            "database": database,
        }

    async def _custom(self, states: list[CollectionState]) -> dict[str, dict[str, Any]]:
        results: dict[str, dict[str, Any]] = {}
        for state in states:
            results[state.task_type] = results.get(state.task_type, {}) | await self._custom_of(state)
        return results

    async def _custom_of(self, state: CollectionState) -> dict[str, Any]:
        try:
            answer: Any = await with_timeout(self._call_custom(state), self.timeout)
        except NoAnswer:
            return {"error": f"custom_validation gave no answer in {self.timeout:g} s"}
        except Exception as error:
            return {"error": f"custom_validation failed: {named(error)}"}
        if not isinstance(answer, dict):
            return {"error": f"custom_validation returned {one_line(repr(answer), 100)}, which is no dict"}
        return answer

    async def _call_custom(self, state: CollectionState) -> Any:
        answer: Any = await in_thread(self.custom_validation, state)
        return await answer if inspect.isawaitable(answer) else answer

    # -- items ---------------------------------------------------------------------------------------------------

    async def _items(self, states: list[CollectionState]) -> tuple[dict[str, Items], dict[str, Any]]:
        """Return the items of each task type, and the counts and problems of the database."""
        if self._bounded_database is None:
            return {state.task_type: reported_items(state) for state in states}, {}
        items: dict[str, Items] = {}
        counts: dict[str, int] = {}
        problems: list[Finding] = []
        self.trouble = ""
        for state in states:
            audit = ItemAudit(self._bounded_database, state, is_valid=self.is_valid, expected_keys=self.expected_keys)
            try:
                found = items[state.task_type] = await audit.run()
                self._surplus[state.task_type] = found["there"] - found["unique"]
            except DatabaseError as error:
                self.trouble = str(error)
                items[state.task_type] = items_of(state.total_items)
                problems.append(finding_of(state.task_type, "", "database", "", self.trouble))
            if audit.wanted is not None:
                self._wanted[state.task_type] = audit.wanted
            if audit.count is not None:
                counts[state.task_type] = audit.count
            problems += audit.problems
        return items, {"counts": counts, "problems": problems}

    async def _quick_score(self, runs: list[CollectionState]) -> float | None:
        if self._bounded_database is None:
            return score_of({run.task_type: reported_items(run) for run in runs})
        self.trouble = ""
        expected = {run.task_type: run.total_items for run in runs if run.total_items} | self._wanted
        unique = {task_type: await self._quick_count(task_type) for task_type in expected}
        self._score = integrity_score(
            sum(min(unique[task_type], expected[task_type]) for task_type in expected), sum(expected.values())
        )
        return self._score

    async def _quick_count(self, task_type: str) -> int:
        assert self._bounded_database is not None
        try:
            count = await self._bounded_database.count(task_type)
        except DatabaseError as error:
            self.trouble = str(error)
            return 0
        return max(0, count - self._surplus.get(task_type, 0))
