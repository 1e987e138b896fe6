"""Does what a collector has written down make sense, and is it what its database has?"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterable, Iterable
from concurrent.futures import Future
from datetime import datetime, timezone
from typing import Any, Protocol

from scrapy_t8.errors import DatabaseError
from scrapy_t8.model.resume_point import CollectionState, ResumePoint
from scrapy_t8.utils.text import one_line
from scrapy_t8.utils.threads import NoAnswer, in_thread, run_in_loop_thread, start_in_loop_thread, with_timeout

from .database import TIMEOUT, BoundedDatabase, Database, named
from .item_audit import ItemAudit, Items, integrity_score, no_items, score_of, told_items
from .record_checks import Finding, finding_of, wrong_points, wrong_states, wrong_tasks

Histories = dict[str, dict[str, list[ResumePoint]]]
"""What resume points were, by task type and name."""


class States(Protocol):
    """Knows how far each task type is. With ``point_histories()`` it knows how far each was, too."""

    def states(self) -> Iterable[CollectionState]: ...


class ResumeValidator:
    """Checks runs, resume points, failed tasks, and the items in the user's database.

    One class for the service (``t8.validator = MyValidator(t8.state_manager, t8.db_manager)``) and for the report of a
    crawl (``T8_VALIDATOR``). To be subclassed: for :meth:`custom_validation`, :meth:`expected_keys`, :meth:`is_valid`.

    The **integrity score** is ``unique valid items / expected items``, from 0 to 1, over all task types of which it is
    known how much there should be; None if it is known of none. Expected are the keys of :meth:`expected_keys`, else
    ``total_items`` of the run. Unique valid items are the different keys in the database for which :meth:`is_valid`
    holds, and of these only expected ones where they are known by key; without a database they are
    ``processed_items`` of the run. A database that does not answer has none.

    :param state_manager: anything with ``states()``: a StateManager, or the ResumePoints of a job.
    :param db_manager: the user's database, if there is one. Plain methods are called in threads, async ones awaited.
    :param timeout: seconds that it may take for one answer, or custom validation for one state.
    """

    def __init__(self, state_manager: States, db_manager: Database | None = None, *, timeout: float = TIMEOUT) -> None:
        self.state_manager = state_manager
        self.timeout = timeout
        self.db_manager = db_manager
        self._surplus: dict[str, int] = {}
        """By task type, how many items that the database counts do not count: as last seen."""
        self._wanted: dict[str, int] = {}
        """By task type, how many keys are expected, where they are known."""
        self.trouble = ""
        """Why the database has no part in the last score; empty if it has."""
        self._score: float | None = None
        self._asking: Future[float | None] | None = None

    @property
    def db_manager(self) -> Database | None:
        return self._db_manager

    @db_manager.setter
    def db_manager(self, database: Database | None) -> None:
        self._db_manager = database
        self._questions = None if database is None else BoundedDatabase(database, self.timeout)

    # -- to be overridden ----------------------------------------------------------------------------------------

    async def custom_validation(self, state: CollectionState) -> dict[str, Any]:
        """What else there is to be looked at. A plain method will do; it is called in a thread.

        The result is told as it is. It is a finding if it has an ``error``, or says that ``valid`` is False.
        """
        return {}

    def expected_keys(self, task_type: str) -> Iterable[str] | AsyncIterable[str] | None:
        """The keys of the items that should be in the database; None if only their number is known, or not even that.

        An iterable of any length, also an async one; it is called and read in a thread.
        """
        return None

    def is_valid(self, task_type: str, key: str) -> bool:
        """Whether the item of this *key* in the database counts as collected. It is called in a thread."""
        return bool(key.strip())

    def work_of(self, point: ResumePoint) -> str:
        """The piece of work that *point* is about, if that is known: two points of one may contradict each other.

        It is told by the metadata. Without any it is not known, as a crawl may have several points by name.
        """
        about = {name: value for name, value in point.metadata.items() if name != "total"}
        return json.dumps(about, sort_keys=True, default=str) if about else ""

    # -- looking -------------------------------------------------------------------------------------------------

    async def validate(self, now: datetime | None = None) -> dict[str, Any]:
        """Look at everything. Whatever fails of it is a finding; nothing is raised.

        Returns a JSON object:

        - ``valid``: whether nothing was found.
        - ``integrity_score``: see above.
        - ``states``, ``resume_points``, ``failed_tasks``: lists of findings. A finding has ``rule``, ``task_type``,
          ``id`` (of the run, point or task), ``field`` and ``message``.
        - ``items``, by task type: ``expected`` (None: not known), ``there`` (records), ``unique`` (valid, and expected
          if these are known by key), ``invalid``, ``duplicates`` (keys), ``duplicate_keys`` (examples, with their
          number), ``missing`` (None: not known), ``missing_keys`` (examples), ``unexpected``.
        - ``custom``, by task type: what custom validation says.
        - ``database``: empty without one, else ``counts`` by task type and ``problems``, a list of findings.

        :param now: the time, with a time zone; None is now.
        """
        read = await asyncio.to_thread(self._read) if self._reads_anywhere else self._read()
        return await self._validate(*read, now or datetime.now(timezone.utc))

    def validate_sync(self, now: datetime | None = None) -> dict[str, Any]:
        """The same for plain code; also inside of a running loop, which waits for it."""
        # The store of a crawl is bound to its thread, so it is read in this one.
        read = self._read()
        return run_in_loop_thread(lambda: self._validate(*read, now or datetime.now(timezone.utc)))

    async def score(self) -> float | None:
        """The integrity score, quickly: the database only counts. What the last :meth:`validate` has found to be there
        twice, not valid or not expected is taken off."""
        return await self._quick_score(self._runs())

    def score_now(self, *, wait: bool) -> float | None:
        """The same for plain code.

        :param wait: False: with a database, the last one that is known, while a new one is found out; None at first.
        """
        runs = self._runs()
        if self._questions is None:
            return score_of({run.task_type: told_items(run) for run in runs})
        if wait:
            return run_in_loop_thread(lambda: self._quick_score(runs))
        if self._asking is None or self._asking.done():
            self._asking = start_in_loop_thread(lambda: self._quick_score(runs))
        return self._score

    # -- how -----------------------------------------------------------------------------------------------------

    @property
    def _reads_anywhere(self) -> bool:
        return bool(getattr(self.state_manager, "is_for_all_threads", False))

    def _runs(self) -> list[CollectionState]:
        """The states, without their points and tasks where these can be had so: there may be many."""
        return list(getattr(self.state_manager, "run_states", self.state_manager.states)())

    def _read(self) -> tuple[list[CollectionState], Histories, list[Finding]]:
        """The states, as many as can be read, what the points were, and why there is no more."""
        states: list[CollectionState] = []
        try:
            states.extend(self.state_manager.states())
            tell = getattr(self.state_manager, "point_histories", dict)
            return states, tell(), []
        except Exception as error:
            where = str(getattr(error, "field", ""))
            message = f"the states cannot be read: {one_line(error)}"
            return states, {}, [finding_of("", "", "unreadable", where, message)]

    async def _validate(
        self, states: list[CollectionState], histories: Histories, unread: list[Finding], now: datetime
    ) -> dict[str, Any]:
        runs, points, tasks = await asyncio.to_thread(self._records, states, histories, now)
        custom = await self._custom(states)
        items, database = await self._items(states)
        self._score = score_of(items)
        points = unread + points
        bad = runs or points or tasks or database.get("problems") or any(map(_is_bad, custom.values()))
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

    def _records(
        self, states: list[CollectionState], histories: Histories, now: datetime
    ) -> tuple[list[Finding], list[Finding], list[Finding]]:
        points = wrong_points(states, histories, self.work_of, now)
        return wrong_states(states, now), points, wrong_tasks(states, now)

    async def _custom(self, states: list[CollectionState]) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = {}
        for state in states:
            told[state.task_type] = told.get(state.task_type, {}) | await self._custom_of(state)
        return told

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
        if inspect.iscoroutinefunction(self.custom_validation):
            return await self.custom_validation(state)
        answer: Any = await in_thread(self.custom_validation, state)
        return await answer if inspect.isawaitable(answer) else answer

    # -- items ---------------------------------------------------------------------------------------------------

    async def _items(self, states: list[CollectionState]) -> tuple[dict[str, Items], dict[str, Any]]:
        """The items of each task type; and what the database has counted and what is wrong with it."""
        if self._questions is None:
            return {state.task_type: told_items(state) for state in states}, {}
        items: dict[str, Items] = {}
        counts: dict[str, int] = {}
        problems: list[Finding] = []
        self.trouble = ""
        for state in states:
            look = ItemAudit(self._questions, state, self.is_valid, self.expected_keys)
            try:
                items[state.task_type] = await look.look()
                self._remember(state.task_type, items[state.task_type], look.wanted)
            except DatabaseError as error:
                self.trouble = str(error)
                items[state.task_type] = no_items(state)
                problems.append(finding_of(state.task_type, "", "database", "", self.trouble))
            if look.count is not None:
                counts[state.task_type] = look.count
            problems += look.problems
        return items, {"counts": counts, "problems": problems}

    def _remember(self, task_type: str, items: Items, wanted: int | None) -> None:
        self._surplus[task_type] = items["there"] - items["unique"]
        if wanted is not None:
            self._wanted[task_type] = wanted

    async def _quick_score(self, runs: list[CollectionState]) -> float | None:
        if self._questions is None:
            return score_of({run.task_type: told_items(run) for run in runs})
        self.trouble = ""
        expected = {run.task_type: run.total_items for run in runs if run.total_items} | self._wanted
        unique = {task_type: await self._quick_count(task_type) for task_type in expected}
        self._score = integrity_score(
            sum(min(unique[task_type], expected[task_type]) for task_type in expected), sum(expected.values())
        )
        return self._score

    async def _quick_count(self, task_type: str) -> int:
        assert self._questions is not None
        try:
            count = await self._questions.count(task_type)
        except DatabaseError as error:
            self.trouble = str(error)
            return 0
        return max(0, count - self._surplus.get(task_type, 0))


def _is_bad(custom: dict[str, Any]) -> bool:
    return bool(custom.get("error")) or custom.get("valid") is False
