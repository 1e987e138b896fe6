"""Failed requests and failed tasks of the service as :class:`FailedTask`, the format that other programs read."""

from __future__ import annotations

import json
import zlib
from dataclasses import field
from datetime import datetime
from typing import Any, NamedTuple

from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.text import to_json
from scrapy_t8.utils.times import moment

from .attempts import DETAIL, AttemptHistory, ScheduledRetry, request_task_id
from .dead_letter import DeadLetter
from .json_document import LARGE, JsonRecord


@record_class(slots=True)
class FailedTask(JsonRecord):
    """A piece of work that failed, and waits for its next attempt or was given up.

    :param task_id: the task type, ``_``, eight hex digits; always the same for a request of a job.
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
#   have the same id, and the service finds a task by its id without an index. Tasks that were imported with ids of
#   their own are in the table ``task_name``.

MULTIPLIER = 0x9E3779B1  # An odd number, so that multiplication by it is a bijection of the 32-bit numbers
INVERSE = pow(MULTIPLIER, -1, 1 << 32)


def service_task_id(task_type: str, entry: int) -> str:
    """Return the task id of the task that a service stores as *entry*."""
    return f"{task_type}_{entry * MULTIPLIER & 0xFFFFFFFF:08x}"


def service_entry(task_id: str) -> int | None:
    """Return the entry for which :func:`service_task_id` returns *task_id*; None if there is none."""
    digits = task_id.rpartition("_")[2]
    try:
        return int(digits, 16) * INVERSE & 0xFFFFFFFF if len(digits) == 8 else None
    except ValueError:
        return None


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


def task_of_waiting(waiting: ScheduledRetry, job: str, url: str) -> FailedTask:
    """Return *waiting*, an entry of *job* for *url*, as a task with a next attempt."""
    story, due = AttemptHistory.loads(waiting.story), moment(waiting.due)
    if record := TaskRecord.loads(waiting.payload):
        return _of_service(record, story, due)
    kind = story.attempts[-1][1] if story.attempts else ""
    return _of_request(story, request_task_id(_type(story), job, waiting.id), url, kind, (waiting.due, ""), due)


def task_of_letter(letter: DeadLetter) -> FailedTask:
    """Return *letter*, which has its payload and story, as a task that was given up."""
    story = AttemptHistory.loads(letter.story)
    if record := TaskRecord.loads(letter.payload):
        return _of_service(record, story, None)
    story.task_type, story.target = story.task_type or letter.task_type, story.target or letter.target
    task_id = request_task_id(_type(story), letter.job, letter.entry)
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
