"""The failed tasks of the service: how they are added, tried again, and leave the queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.core.offline.dead_letters import DeadLetterReader, OfflineCodec
from scrapy_t8.core.retry.failure import HANDLER, Failure
from scrapy_t8.core.retry.policy import Policy, Rule
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter
from scrapy_t8.model.failed_task import (
    FailedTask,
    TaskRecord,
    id_of,
    record_of,
    service_entry,
    service_task_id,
    target_name,
    task_of_letter,
    task_of_waiting,
)
from scrapy_t8.service.context import StateContext
from scrapy_t8.service.logs import logger
from scrapy_t8.stores.shared.tasks import TaskBatch, Verdict
from scrapy_t8.utils.checked import checked_metadata, checked_number, checked_text
from scrapy_t8.utils.text import counted, one_line, printable

CRASH = "crash"
"""The kind of a failure that has killed the process."""
ANY = ""
"""In place of a task type: tasks of any type may have become due."""


@dataclass(frozen=True, slots=True)
class LeasedTask:
    """A task that this process may work on. *payload* is *record* as it is stored."""

    entry: int
    record: TaskRecord
    history: AttemptHistory
    payload: bytes

    @property
    def attempt(self) -> int:
        """The number of the retry that it is leased for, from 1."""
        return self.history.retries + 1


class FailedTasks:
    """The failed tasks of an open state.

    :param added: called with the task type (or :data:`ANY`) and the due time of what is added to the queue.
    """

    def __init__(self, context: StateContext, added: Callable[[str, float], None]) -> None:
        self._store = context.store
        self._tasks = context.stored_tasks
        self._writes = context.writes
        self._config = config = context.config
        self._job_id = context.job_id
        self._holder = context.holder
        self._clock = context.clock
        self._chance = context.chance
        self._policy = Policy(config.retry_rule(), config.retry_kinds, config.retry_after_cap)
        self._rules = rules_of(config)
        self._free = range(0)
        self._lock = Lock()
        self.added = added

    # -- adding --------------------------------------------------------------------------------------------------

    def add_failed_task(
        self,
        task_type: str,
        target: str,
        error_message: str = "",
        metadata: dict[str, Any] | None = None,
        *,
        max_retries: int | None = None,
    ) -> str:
        """Have *target* tried again later. Return the id of the task.

        :param max_retries: None leaves it to the policy (``T8_RETRY_TYPES``, ``T8_RETRY_KINDS["handler"]``).
        :raises FormatError: naming the argument that makes no sense.
        """
        now, name = self._clock(), target_name(checked_text("task_type", task_type), checked_text("target", target))
        times = self._rules[task_type].times if max_retries is None else checked_number("max_retries", max_retries)
        record = TaskRecord("", task_type, target, times, now, checked_metadata(metadata))
        history = _history(record, checked_text("error_message", error_message, empty=True))
        due = self._due(Failure(HANDLER, error_message), record, earlier=0, now=now)
        with self._writes.change() as changes:
            waiting = changes.tasks.get(name) or self._tasks.waiting_for(name)
            entry = self._next_entry(task_type) if waiting is None else waiting.id
            task_id = service_task_id(task_type, entry, self._job_id) if waiting is None else id_of(waiting)
            due = due if waiting is None else waiting.due
            self._put(changes, self._task(entry, record._replace(task_id=task_id), history), due)
        what = "added" if waiting is None else "has failed again, and waits already"
        message = "Failed task %s %s: %s: %s"
        logger.info(message, printable(task_id), what, printable(target), printable(one_line(error_message)))
        if due is None:
            logger.error("Task %s is given up at once: it may not be retried", printable(task_id))
        else:
            self.added(task_type, due)
        return task_id

    def restore(self, task: FailedTask) -> bool:
        """Store *task* as it is. Return False if it is there already: one of this id, or one that waits for its target.

        A task whose id another task has gets a new one.
        """
        name, there = target_name(task.task_type, task.target), self._find(task.task_id)
        known = None if there is None else TaskRecord.loads(there.payload)
        is_there = known is not None and (known.task_type, known.target) == (task.task_type, task.target)
        is_waiting = task.next_retry_time is not None
        if is_there or (is_waiting and self._tasks.waiting_for(name) is not None):
            return False
        entry, created = self._next_entry(task.task_type), task.created_at.timestamp()
        task_id = task.task_id if there is None else service_task_id(task.task_type, entry, self._job_id)
        record = TaskRecord(task_id, task.task_type, task.target, task.max_retries, created, task.metadata)
        history = _history(record, task.error_message)
        if task.retry_count:
            history.counts[HANDLER] = task.retry_count
        due = None if task.next_retry_time is None else task.next_retry_time.timestamp()
        with self._writes.change() as changes:
            changes.names[task_id] = entry
            self._put(changes, self._task(entry, record, history), due)
        return True

    def _task(self, entry: int, record: TaskRecord, history: AttemptHistory) -> LeasedTask:
        return LeasedTask(entry, record, history, record.dumps(compress=self._config.enable_compression))

    def _put(self, changes: TaskBatch, task: LeasedTask, due: float | None) -> None:
        """Store a task that waits until *due*, or a dead one."""
        if due is None:
            changes.letters.append(self._letter(task))
        else:
            changes.add_task(ScheduledRetry(task.entry, due, task.record.task_type, task.payload, task.history.dumps()))

    def _next_entry(self, task_type: str) -> int:
        """Return an entry for a new task. No task that was brought along has the id that this entry leads to."""
        while True:
            with self._lock:
                if not self._free:
                    # Several at once: an id is returned before its task is committed. Unused ones are no loss.
                    first = self._tasks.reserve(self._config.batch_update_size)
                    self._free = range(first, first + self._config.batch_update_size)
                entry, self._free = self._free[0], self._free[1:]
            if self._tasks.named(service_task_id(task_type, entry, self._job_id)) is None:
                return entry

    # -- looking -------------------------------------------------------------------------------------------------

    def failed_tasks(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """Return the tasks that wait for their next try, in the order in which they were added."""
        self._writes.flush()
        return (task_of_waiting(found, self._job_id, "") for found in self._tasks.all(task_type))

    def dead_tasks(self, task_type: str | None = None) -> Iterator[FailedTask]:
        """Return the tasks that were given up, in the order in which they were."""
        self._writes.flush()
        letters = DeadLetterReader(self._store.box, OfflineCodec())
        return map(task_of_letter, letters.whole(LetterFilter(task_type=task_type)))

    def get_failed_task(self, task_id: str) -> FailedTask | None:
        """Return the task of this id, whether it waits or is dead (then without a next time); None if there is none."""
        self._writes.flush()
        found = self._find(task_id)
        if isinstance(found, ScheduledRetry):
            return task_of_waiting(found, self._job_id, "")
        return None if found is None else task_of_letter(found)

    def _find(self, task_id: str) -> ScheduledRetry | DeadLetter | None:
        named = self._tasks.named(task_id)
        for entry in (named, service_entry(task_id, self._job_id)):
            found = None if entry is None else self._tasks.get(entry) or self._tasks.letter(entry, self._job_id)
            record = None if found is None else TaskRecord.loads(found.payload)
            # A task may be known by the id of another one, which has become a part of it.
            if record is not None and (record.task_id == task_id or entry == named):
                return found
        return None

    def task_counts(self) -> tuple[int, int]:
        """Return how many tasks wait, and how many are dead."""
        self._writes.flush()
        return self._tasks.count(), self._store.box.count()

    def retry_outcomes(self) -> tuple[int, int]:
        """Return how many tasks have succeeded by a retry, and how many were given up, since the state began."""
        return self._tasks.outcomes()

    # -- leaving by hand -----------------------------------------------------------------------------------------

    def remove_failed_task(self, task_id: str) -> bool:
        """Delete a task, whether it waits or is dead. Return whether it was there, and no handler at work on it."""
        self._writes.flush()
        found = self._find(task_id)
        if isinstance(found, ScheduledRetry):
            return self._tasks.remove(found.id)
        if found is None:
            return False
        with self._store.alone() as job:
            return self._store.box.discard(LetterFilter(ids=(found.id,)), job) > 0

    def revive(self, which: LetterFilter | None = None) -> int:
        """Let dead tasks be tried again from the beginning; all, without *which*. Return how many."""
        with self._store.alone() as job:
            revived = self._store.box.revive(which or LetterFilter(), job, self._clock())
            if revived:
                self._tasks.join_doubles()
        if revived:
            self.added(ANY, self._clock())
        return revived

    def prune(self) -> int:
        """Delete dead tasks that are too old or too many. Return how many."""
        ttl, limit = self._config.failed_task_ttl, self._config.max_failed_tasks
        if not self._store.box.count(LetterFilter(older_than=ttl)) and self._store.box.count() <= limit:
            return 0
        with self._store.alone() as job:
            pruned = sum(self._store.box.prune(job, self._clock(), ttl=ttl, limit=limit))
        logger.warning("Dead tasks pruned: %d that are older than %g s, or the oldest beyond %d", pruned, ttl, limit)
        return pruned

    # -- retrying ------------------------------------------------------------------------------------------------

    def lease(self, task_types: Iterable[str], limit: int) -> list[LeasedTask]:
        """Lease up to *limit* tasks that are due: no other process gets them."""
        return list(map(_leased, self._tasks.lease(list(task_types), self._clock(), limit)))

    def reload(self, task: LeasedTask) -> tuple[LeasedTask, float] | None:
        """Return *task* as it is stored now and its due time, or None if it has left the queue."""
        waiting = self._tasks.get(task.entry)
        return None if waiting is None else (_leased(waiting), waiting.due)

    def succeed(self, task: LeasedTask) -> bool:
        """Take *task* out of the queue: it is done. Return False if this process had lost its lease."""
        name, reports = printable(task.record.task_id), task.history.reports

        def judge(stored: ScheduledRetry) -> Verdict | None:
            history = _leased(stored).history
            if history.reports == reports:
                logger.info("Task %s succeeded on attempt %d and left the queue", name, task.attempt)
                return None
            logger.info("Task %s succeeded on attempt %d, but has failed again meanwhile: it waits", name, task.attempt)
            delay = self._rules[task.record.task_type].delay(1, self._chance())
            return self._clock() + delay, history.dumps()

        return self._tasks.settle(task.entry, judge)

    def fail(self, task: LeasedTask, error: str, *, keep: bool = False) -> bool:
        """Make *task* due again, or bury it. Return False if this process had lost its lease, which it may *keep*."""
        failure = Failure(HANDLER, error)
        return self._tasks.settle(task.entry, lambda stored: self._verdict(_leased(stored), failure), keep=keep)

    def break_leases(self) -> int:
        """Take back the tasks of dead processes, and charge each with the crash. Return how many."""
        crash = Failure(CRASH, "the process died while the handler was at work")
        freed = self._tasks.break_leases(self._holder.is_alive, lambda waiting: self._verdict(_leased(waiting), crash))
        if freed:
            tasks = counted(freed, "task was", "tasks were")
            logger.warning("%s returned to the queue: the process that worked on them has died", tasks)
        return freed

    def _verdict(self, task: LeasedTask, failure: Failure) -> Verdict:
        """Add *failure* to *task*, which was read for this. Return its due time and history, or its dead letter."""
        now, name = self._clock(), printable(task.record.task_id)
        history = task.history
        # The failure that it was handed in for was not charged, but counts.
        earlier = history.counts.get(failure.kind, 0) + (failure.kind == HANDLER)
        due = self._due(failure, task.record, earlier=earlier, now=now)
        history.add(now, failure.kind, failure.error, charged=True)
        if due is None:
            tries = counted(task.attempt, "attempt", "attempts")
            logger.error("Task %s is given up after %s: %s", name, tries, printable(failure.error))
            return self._letter(task)
        message = "Task %s failed on attempt %d: %s. The next one is due in %.3g s"
        logger.warning(message, name, task.attempt, printable(failure.error), due - now)
        return due, history.dumps()

    def _due(self, failure: Failure, record: TaskRecord, *, earlier: int, now: float) -> float | None:
        if failure.kind == CRASH:
            # The kill may have other causes; but a task whose handler is at work at every kill is given up.
            rule = Rule(self._config.crash_limit - 1, base=0.0)
        else:
            rule = replace(self._rules[record.task_type], times=record.max_retries)
        return self._policy.decide(failure, rule, earlier=earlier, now=now, chance=self._chance()).due

    def _letter(self, task: LeasedTask) -> DeadLetter:
        record, (_, kind, error) = task.record, task.history.attempts[-1]
        return DeadLetter(
            entry=task.entry,
            payload=task.payload,
            kind=kind,
            error=one_line(error),
            buried_at=self._clock(),
            host=record.task_type,
            task_type=record.task_type,
            target=record.target,
            story=task.history.dumps(),
        )


def rules_of(config: Config) -> Mapping[str, Rule]:
    """Return the retry rule of each task type, from T8_RETRY_TYPES; that of any other is that of handlers.

    :raises ConfigError: naming the rule that makes no sense.
    """
    general = Policy(config.retry_rule(), config.retry_kinds, config.retry_after_cap).rule(HANDLER, {})
    rules: defaultdict[str, Rule] = defaultdict(lambda: general)
    for task_type, changes in config.retry_types.items():
        where = f"T8_RETRY_TYPES[{task_type!r}]"
        if not isinstance(changes, Mapping):
            raise ConfigError(f"{where} is {changes!r:.60}, but must be a dict")
        rules[task_type] = general.changed(changes, where)
    return rules


def _history(record: TaskRecord, error: str) -> AttemptHistory:
    """Return the history of a new task, whose first error counts as no attempt."""
    history = AttemptHistory(task_type=record.task_type, target=record.target, max_retries=record.max_retries)
    history.add(record.created_at, HANDLER, error, charged=False)
    return history


def _leased(waiting: ScheduledRetry) -> LeasedTask:
    return LeasedTask(waiting.id, record_of(waiting.payload), AttemptHistory.loads(waiting.story), waiting.payload)
