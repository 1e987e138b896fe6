"""The failed tasks of the service: how they come, how they fare, how they leave."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.core.retry.failure import HANDLER, Failure
from scrapy_t8.core.retry.policy import Policy
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter
from scrapy_t8.model.failed_task import (
    FailedTask,
    TaskRecord,
    service_entry,
    service_task_id,
    task_of_letter,
    task_of_waiting,
)
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.locks import LeaseHolder
from scrapy_t8.stores.shared.store import SharedStore
from scrapy_t8.stores.shared.tasks import AT_ONCE, SQLiteTasks
from scrapy_t8.utils.checked import checked_metadata, checked_number, checked_text
from scrapy_t8.utils.text import one_line, printable

from .logs import logger
from .write_batch import WriteBatch

CRASH = "crash"
"""The kind of a failure that has killed the process."""


@dataclass(frozen=True, slots=True)
class LeasedTask:
    """A task that this process may work on."""

    entry: int
    record: TaskRecord
    story: AttemptHistory
    payload: bytes

    @property
    def attempt(self) -> int:
        """The number of the retry that it is leased for, from 1."""
        return self.story.retries + 1


class FailedTasks:
    """The tasks in *store*.

    :param chance: draws evenly from 0 to 1.
    :param added: told of the task type and the due time of each new task.
    """

    def __init__(
        self,
        store: SharedStore,
        tasks: SQLiteTasks,
        updates: WriteBatch,
        config: Config,
        job: JobRecord,
        holder: LeaseHolder,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._updates = updates
        self._config = config
        self._job = job
        self._holder = holder
        self._clock = clock
        self._chance = chance
        self._policy = Policy(config.retry_rule(), config.retry_kinds, config.retry_after_cap)
        self._rule = self._policy.rule(HANDLER, {})
        self._free = range(0)
        self._lock = Lock()
        self.added: Callable[[str, float], None] = lambda task_type, due: None

    # -- coming --------------------------------------------------------------------------------------------------

    def add(
        self,
        task_type: str,
        target: str,
        error_message: str,
        metadata: dict[str, Any] | None,
        max_retries: int | None,
    ) -> str:
        now = self._clock()
        checked_text("task_type", task_type)
        entry = self._next_entry(task_type)
        record = TaskRecord(
            task_id=service_task_id(task_type, entry),
            task_type=task_type,
            target=checked_text("target", target),
            max_retries=self._rule.times if max_retries is None else checked_number("max_retries", max_retries),
            created_at=now,
            metadata=checked_metadata(metadata),
        )
        story = _story(record)
        story.add(now, HANDLER, checked_text("error_message", error_message, empty=True), charged=False)
        due = self._due(Failure(HANDLER, error_message), record, story, now)
        self.put(entry, record, story, due)
        names = printable(record.task_id), printable(target), printable(one_line(error_message))
        logger.info("Failed task %s added: %s: %s", *names)
        if due is None:
            logger.error("Task %s is given up at once: it may not be retried", printable(record.task_id))
        else:
            self.added(task_type, due)
        return record.task_id

    def put(self, entry: int, record: TaskRecord, story: AttemptHistory, due: float | None) -> None:
        """Store a task that waits, or one that is dead already."""
        payload = record.dumps(compress=self._config.enable_compression)
        with self._updates.change() as changes:
            if due is None:
                changes.letters.append(self._letter(entry, record, story, payload))
            else:
                changes.tasks.append(ScheduledRetry(entry, due, record.task_type, payload, story.dumps()))

    def restore(self, task: FailedTask) -> bool:
        """Store *task* as it is, under its id, unless it is there. Returns whether it was not."""
        if self._find(task.task_id) is not None:
            return False
        record = TaskRecord(
            checked_text("task_id", task.task_id),
            checked_text("task_type", task.task_type),
            checked_text("target", task.target, empty=True),
            checked_number("max_retries", task.max_retries),
            task.created_at.timestamp(),
            checked_metadata(task.metadata),
        )
        story = _story(record)
        error = checked_text("error_message", task.error_message, empty=True)
        story.add(record.created_at, HANDLER, error, charged=False)
        if checked_number("retry_count", task.retry_count):
            story.counts[HANDLER] = task.retry_count
        entry = self._next_entry(record.task_type)
        with self._updates.change() as changes:
            changes.names[record.task_id] = entry
        self.put(entry, record, story, None if task.next_retry_time is None else task.next_retry_time.timestamp())
        return True

    def _next_entry(self, task_type: str) -> int:
        """A place for a new task, whose id by that place nobody else has brought along."""
        while True:
            with self._lock:
                if not self._free:
                    # Several at once, as an id is told before its task is committed. What is not used is no loss.
                    first = self._tasks.reserve(self._config.batch_update_size)
                    self._free = range(first, first + self._config.batch_update_size)
                entry, self._free = self._free[0], self._free[1:]
            if self._tasks.named(service_task_id(task_type, entry)) is None:
                return entry

    # -- looking -------------------------------------------------------------------------------------------------

    def waiting(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """The tasks that are going to be retried, as they came."""
        self._updates.flush()
        return (task_of_waiting(found, self._job.id, "") for found in self._tasks.all(task_type))

    def dead(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """The tasks that are given up."""
        self._updates.flush()
        last = 0
        while letters := self._store.box.letters(limit=AT_ONCE, after=last):
            for letter in letters:
                whole = self._store.box.letter(letter.id) if task_type in (None, letter.task_type) else None
                if whole is not None:
                    yield task_of_letter(whole)
            last = letters[-1].id

    def get(self, task_id: str) -> FailedTask | None:
        """The task of this id, that waits or is dead."""
        self._updates.flush()
        found = self._find(task_id)
        if isinstance(found, ScheduledRetry):
            return task_of_waiting(found, self._job.id, "")
        return None if found is None else task_of_letter(found)

    def _find(self, task_id: str) -> ScheduledRetry | DeadLetter | None:
        for entry in (self._tasks.named(task_id), service_entry(task_id)):
            found = None if entry is None else self._stored(entry)
            if found is not None and _is(found, task_id):
                return found
        return None

    def _stored(self, entry: int) -> ScheduledRetry | DeadLetter | None:
        waiting = self._tasks.get(entry)
        if waiting is not None:
            return waiting
        number = self._tasks.letter(entry, self._job.id)
        return None if number is None else self._store.box.letter(number)

    def types(self) -> set[str]:
        """The task types that wait or are dead."""
        self._updates.flush()
        return self._tasks.slots() | {letter.task_type for letter in self._store.box.letters()}

    def counts(self) -> tuple[int, int]:
        """How many wait, and how many are dead."""
        self._updates.flush()
        return self._tasks.count(), self._store.box.count()

    # -- leaving by hand -----------------------------------------------------------------------------------------

    def remove(self, task_id: str) -> bool:
        """Take a task away, whether it waits or is dead. Returns whether it was there, and not being worked on."""
        self._updates.flush()
        found = self._find(task_id)
        if isinstance(found, ScheduledRetry):
            return self._tasks.remove(found.id)
        if found is None:
            return False
        with self._store.alone() as job:
            return self._store.box.discard(LetterFilter(ids=(found.id,)), job) > 0

    def revive(self, which: LetterFilter) -> int:
        """Let dead tasks be retried from the beginning. Returns how many."""
        with self._store.alone() as job:
            revived = self._store.box.revive(which, job, self._clock())
        if revived:
            self.added("", self._clock())
        return revived

    def prune(self) -> int:
        """Drop dead tasks that are too old or too many. Returns how many went."""
        ttl, limit = self._config.failed_task_ttl, self._config.max_failed_tasks
        if not self._store.box.count(LetterFilter(older_than=ttl)) and self._store.box.count() <= limit:
            return 0
        with self._store.alone() as job:
            pruned = sum(self._store.box.prune(job, self._clock(), ttl=ttl, limit=limit))
        logger.warning("Dead tasks pruned: %d that are older than %g s, or the oldest beyond %d", pruned, ttl, limit)
        return pruned

    # -- at work -------------------------------------------------------------------------------------------------

    def lease(self, task_types: Iterable[str], limit: int) -> list[LeasedTask]:
        """Up to *limit* tasks that are due, for this process alone."""
        found = self._tasks.lease(list(task_types), self._clock(), limit, self._holder.name)
        return [leased for leased in map(_leased, found) if leased is not None]

    def reload(self, task: LeasedTask) -> tuple[LeasedTask, float] | None:
        """*task* as it is now and when it is due, or None if it waits no more."""
        waiting = self._tasks.get(task.entry)
        leased = None if waiting is None else _leased(waiting)
        return None if waiting is None or leased is None else (leased, waiting.due)

    def next_due(self, task_types: Iterable[str]) -> float | None:
        return self._tasks.next_due(task_types)

    def waiting_types(self) -> set[str]:
        return self._tasks.slots()

    def succeed(self, task: LeasedTask) -> bool:
        """*task* is done: it leaves the queue. Returns whether this process still had it."""
        won = self._tasks.succeed(task.entry, self._holder.name)
        if won:
            message = "Task %s succeeded on attempt %d and left the queue"
            logger.info(message, printable(task.record.task_id), task.attempt)
        return won

    def fail(self, task: LeasedTask, error: str, *, keep: bool = False) -> bool:
        """*task* has failed once more: it is due again, or given up. Returns whether this process still had it.

        :param keep: it stays leased, as its handler has not ended.
        """
        verdict = self._verdict(task, Failure(HANDLER, error))
        if isinstance(verdict, DeadLetter):
            return self._tasks.bury(verdict, self._holder.name)
        return self._tasks.postpone(task.entry, *verdict, self._holder.name, keep=keep)

    def release(self, task: LeasedTask) -> None:
        """Give *task* back as it was."""
        self._tasks.release(task.entry, self._holder.name)

    def give_back(self, task: LeasedTask) -> None:
        """The same of a task whose handler has not ended: nobody gets it before that, or before this process ends."""
        self._tasks.give_back(task.entry, self._holder.name)

    def break_leases(self) -> int:
        """Get back what dead processes had. Each of these tasks is charged with the death. Returns how many."""
        freed = self._tasks.break_leases(self._holder, self._crashed)
        if freed:
            logger.warning("%d tasks came back from a process that has died", freed)
        return freed

    def _crashed(self, waiting: ScheduledRetry) -> tuple[float, str] | DeadLetter:
        task = _leased(waiting)
        assert task is not None
        return self._verdict(task, Failure(CRASH, "the process died while the handler was at work"))

    def _verdict(self, task: LeasedTask, failure: Failure) -> tuple[float, str] | DeadLetter:
        now, name = self._clock(), printable(task.record.task_id)
        story = AttemptHistory.loads(task.story.dumps())  # a copy: this may have to be done again
        attempt = task.attempt
        story.add(now, failure.kind, failure.error, charged=True)
        due = self._due(failure, task.record, story, now)
        if due is None:
            logger.error("Task %s is given up after %d attempts: %s", name, attempt, printable(failure.error))
            return self._letter(task.entry, task.record, story, task.payload, failure)
        message = "Task %s failed on attempt %d: %s. The next one is due in %.3g s"
        logger.warning(message, name, attempt, printable(failure.error), due - now)
        return due, story.dumps()

    def _due(self, failure: Failure, record: TaskRecord, story: AttemptHistory, now: float) -> float | None:
        if failure.kind == CRASH:
            # A kill is nobody's fault; but who is at work at every kill may be.
            return now if story.counts[CRASH] < self._config.crash_limit else None
        charged = story.counts.get(HANDLER, 0) + 1  # with the failure that it was handed in for
        return self._policy.due(failure, charged, replace(self._rule, times=record.max_retries), now, self._chance())

    def _letter(
        self, entry: int, record: TaskRecord, story: AttemptHistory, payload: bytes, failure: Failure | None = None
    ) -> DeadLetter:
        error = failure.error if failure else story.attempts[-1][2]
        return DeadLetter(
            entry=entry,
            payload=payload,
            kind=failure.kind if failure else HANDLER,
            error=one_line(error),
            buried_at=self._clock(),
            host=record.task_type,
            task_type=record.task_type,
            target=record.target,
            story=story.dumps(),
        )


def _story(record: TaskRecord) -> AttemptHistory:
    return AttemptHistory(task_type=record.task_type, target=record.target, max_retries=record.max_retries)


def _leased(waiting: ScheduledRetry) -> LeasedTask | None:
    record = TaskRecord.loads(waiting.payload)
    return (
        None if record is None else LeasedTask(waiting.id, record, AttemptHistory.loads(waiting.story), waiting.payload)
    )


def _is(stored: ScheduledRetry | DeadLetter, task_id: str) -> bool:
    record = TaskRecord.loads(stored.payload)
    return record is not None and record.task_id == task_id
