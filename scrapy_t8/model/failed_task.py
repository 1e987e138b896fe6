"""Failed requests and failed tasks of the service as :class:`FailedTask`, the format that other programs read."""

from __future__ import annotations

import json
import zlib
from dataclasses import field
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from scrapy_t8.errors import StoreError
from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.text import to_json
from scrapy_t8.utils.times import moment

from .attempts import DETAIL, HISTORY, AttemptHistory, ScheduledRetry, request_task_id
from .dead_letter import DeadLetter
from .json_document import LARGE, JsonRecord


@record_class(slots=True)
class FailedTask(JsonRecord):
    """A piece of work that failed, and waits for its next attempt or was given up.

    :param task_id: the task type, ``_``, eight hex digits; the same for all attempts of a request.
    :param target: what the work is about: a slug, a URL.
    :param error_message: the error of the last attempt.
    :param retry_count: attempts that have failed so far.
    :param next_retry_time: with a time zone; None for a task that was given up.
    :param created_at: the time of the first failure that is still known, with a time zone.
    :param metadata: any JSON object.
    """

    task_id: str
    task_type: str
    target: str
    error_message: str
    retry_count: int
    max_retries: int
    next_retry_time: datetime | None
    created_at: datetime
    metadata: dict[str, Any] = field(default_factory=dict)


# An id has room for 32 bits. There are two ways to get an id from the entry under which a task is stored:
#
# - The entries of a crawl have more bits, and each job of a directory counts them anew. So the id is a hash of job and
#   entry. Nobody looks a request up by its id alone: commands compare the ids of all failed requests.
# - A service has one job and counts its entries from 1. So the id is a bijection of the 32-bit numbers: no two tasks
#   have the same id, and the service finds a task by its id without an index. The bijection differs by job, so that two
#   states hardly ever have the same id. Tasks with ids of another origin are in the table ``task_name``.

MULTIPLIER = 0x9E3779B1  # An odd number, so that multiplication by it is a bijection of the 32-bit numbers
INVERSE = pow(MULTIPLIER, -1, 1 << 32)


def service_task_id(task_type: str, entry: int, job: str) -> str:
    """Return the task id of the task that a service, whose job has the id *job*, stores as *entry*."""
    return f"{task_type}_{(entry * MULTIPLIER ^ _of_job(job)) & 0xFFFFFFFF:08x}"


def service_entry(task_id: str, job: str) -> int | None:
    """Return the entry for which :func:`service_task_id` returns *task_id*; None if there is none."""
    digits = task_id.rpartition("_")[2]
    try:
        return (int(digits, 16) ^ _of_job(job)) * INVERSE & 0xFFFFFFFF if len(digits) == 8 else None
    except ValueError:
        return None


def _of_job(job: str) -> int:
    return int.from_bytes(blake2b(job.encode(), digest_size=4).digest(), "big")


def target_name(task_type: str, target: str) -> str:
    """Return the name in ``task_name`` of the task that waits for *target*. No task id has this form."""
    return "target " + blake2b(to_json([task_type, target]).encode(), digest_size=16).hexdigest()


PLAIN, PACKED = b"{", b"z"  # The first byte of a task's payload, which differs from that of every request's payload


class TaskRecord(NamedTuple):
    """The part of a task that never changes; ``created_at`` is in Unix seconds. Its attempts are an AttemptHistory."""

    task_id: str
    task_type: str
    target: str
    max_retries: int
    created_at: float
    metadata: dict[str, Any]

    def dumps(self, *, compress: bool) -> bytes:
        """Return the record as bytes, compressed if they are many. The metadata must be a JSON object."""
        data = to_json(self._asdict(), separators=(",", ":")).encode()
        return PACKED + zlib.compress(data) if compress and len(data) >= LARGE else data

    @classmethod
    def loads(cls, payload: bytes) -> TaskRecord | None:
        """Return the record of *payload*, or None if *payload* is that of a request."""
        if payload[:1] == PACKED:
            return cls(**json.loads(zlib.decompress(payload[1:])))
        return cls(**json.loads(payload)) if payload[:1] == PLAIN else None


def name_of(task: ScheduledRetry) -> str:
    """Return the :func:`target_name` of a task of the service."""
    record = record_of(task.payload)
    return target_name(record.task_type, record.target)


def id_of(task: ScheduledRetry) -> str:
    """Return the id of a task of the service."""
    return record_of(task.payload).task_id


def record_of(payload: bytes) -> TaskRecord:
    """Return the record of a task of the service, or raise a StoreError."""
    try:
        record = TaskRecord.loads(payload)
    except (ValueError, TypeError, zlib.error):
        record = None
    if record is None:
        raise StoreError(
            f"the state has a task that cannot be read, {payload!r:.60}: another program or release has written it. "
            "Use that release, or put the state back from a copy"
        )
    return record


def joined(kept: ScheduledRetry, other: ScheduledRetry, *, afresh: bool) -> ScheduledRetry:
    """Return *kept*, a task of the service, with the errors and metadata of *other*, a task for the same target.

    :param afresh: whether the earlier due time and the lower number of retries count, not those of *kept*.
    """
    mine, theirs = record_of(kept.payload), record_of(other.payload)
    story, more = AttemptHistory.loads(kept.story), AttemptHistory.loads(other.story)
    is_newer = _last_failure(more, theirs) >= _last_failure(story, mine)
    first, second = (mine, theirs) if is_newer else (theirs, mine)
    record = mine._replace(
        max_retries=max(mine.max_retries, theirs.max_retries),
        created_at=min(mine.created_at, theirs.created_at),
        metadata={**first.metadata, **second.metadata},
    )
    story.attempts = sorted([*story.attempts, *more.attempts], key=lambda attempt: attempt[0])[-HISTORY:]
    story.max_retries = record.max_retries
    story.reports += 1
    if afresh and more.retries < story.retries:
        story.counts = more.counts
    due = min(kept.due, other.due) if afresh else kept.due
    compress = PACKED in (kept.payload[:1], other.payload[:1])
    return kept._replace(due=due, payload=record.dumps(compress=compress), story=story.dumps())


def _last_failure(story: AttemptHistory, record: TaskRecord) -> float:
    return story.attempts[-1][0] if story.attempts else record.created_at


def task_of_waiting(waiting: ScheduledRetry, job: str, url: str) -> FailedTask:
    """Return *waiting*, an entry of *job* for *url*, as a task with a next attempt."""
    story, due = AttemptHistory.loads(waiting.story), moment(waiting.due)
    if record := TaskRecord.loads(waiting.payload):
        return _of_service(record, story, due)
    kind = story.attempts[-1][1] if story.attempts else ""
    task_id = story.task_id or request_task_id(_type(story), job, waiting.id)
    return _of_request(story, task_id, url, kind, (waiting.due, ""), due)


def task_of_letter(letter: DeadLetter) -> FailedTask:
    """Return *letter*, which has its payload and story, as a task that was given up."""
    story = AttemptHistory.loads(letter.story)
    if record := TaskRecord.loads(letter.payload):
        return _of_service(record, story, None)
    story.task_type, story.target = story.task_type or letter.task_type, story.target or letter.target
    task_id = story.task_id or request_task_id(_type(story), letter.job, letter.entry)
    return _of_request(story, task_id, letter.url, letter.kind, (letter.buried_at, letter.error), None)


def _type(story: AttemptHistory) -> str:
    return story.task_type or DETAIL


def _of_request(
    story: AttemptHistory, task_id: str, url: str, kind: str, otherwise: tuple[float, str], due: datetime | None
) -> FailedTask:
    """Return the task of a request. *otherwise* has time and error of one without attempts."""
    first, error = (story.attempts[0][0], story.attempts[-1][2]) if story.attempts else otherwise
    return FailedTask(
        task_id=task_id,
        task_type=_type(story),
        target=story.target or url,
        error_message=error,
        retry_count=story.retries,
        max_retries=story.max_retries,
        next_retry_time=due,
        created_at=moment(first),
        metadata={"kind": kind, "url": url},
    )


def _of_service(record: TaskRecord, story: AttemptHistory, due: datetime | None) -> FailedTask:
    """Return the task of a *record*. The failure with which a task was handed in is not charged to it."""
    return FailedTask(
        task_id=record.task_id,
        task_type=record.task_type,
        target=record.target,
        error_message=story.attempts[-1][2] if story.attempts else "",
        retry_count=story.retries,
        max_retries=record.max_retries,
        next_retry_time=due,
        created_at=moment(record.created_at),
        metadata=record.metadata,
    )
