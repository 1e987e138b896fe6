"""Failed requests as :class:`FailedTask`, the form in which other programs know them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from .attempts import AttemptHistory, ScheduledRetry
from .dead_letter import DeadLetter
from .json_document import Document, moment, told

TASK_TYPE = "DETAIL_COLLECTION"
"""That of a request which does not tell its own."""


@dataclass(slots=True)
class FailedTask:
    """A piece of work that failed: it waits for its next try, or is given up on.

    :param task_id: the task type, ``_``, eight hex digits; the same for the same request of the same job.
    :param target: what it is about: a slug, a URL.
    :param error_message: of the last attempt.
    :param retry_count: attempts that have failed so far.
    :param next_retry_time: with a time zone; None for a task given up on.
    :param created_at: of the first failure that is still known, with a time zone.
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

    def to_dict(self) -> dict[str, Any]:
        """The task as a JSON object, times in ISO 8601 with their UTC offset."""
        due = self.next_retry_time
        times = {"next_retry_time": due and told(due), "created_at": told(self.created_at)}
        return {name: getattr(self, name) for name in self.__slots__} | times

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FailedTask:
        """The task of a JSON object. Fields beyond its own are passed over; times without an offset are UTC.

        :raises FormatError: naming the field that is missing, or is not what it should be.
        """
        given = Document("FailedTask", document)
        return cls(
            task_id=given.typed("task_id", str),
            task_type=given.typed("task_type", str),
            target=given.typed("target", str),
            error_message=given.typed("error_message", str),
            retry_count=given.typed("retry_count", int),
            max_retries=given.typed("max_retries", int),
            next_retry_time=given.optional_time("next_retry_time"),
            created_at=given.time("created_at"),
            metadata=given.metadata(),
        )


def task_id(task_type: str, job: str, entry: int) -> str:
    """The id under which *entry* of *job* is known outside."""
    return f"{task_type}_{blake2b(f'{job}/{entry}'.encode(), digest_size=4).hexdigest()}"


def task_of_waiting(waiting: ScheduledRetry, job: str, url: str) -> FailedTask:
    """*waiting*, an entry of *job* for *url*, as a task that is tried again."""
    story = AttemptHistory.loads(waiting.story)
    record = TaskRecord.loads(waiting.payload)
    if record is not None:
        return _task_of_record(record, story, moment(waiting.due))
    first, kind, error = _ends(story) or (waiting.due, "", "")
    return _task(story, job, waiting.id, url, first, kind, error, due=moment(waiting.due))


def task_of_letter(letter: DeadLetter) -> FailedTask:
    """*letter*, read whole, as a task given up on."""
    story = AttemptHistory.loads(letter.story)
    record = TaskRecord.loads(letter.payload)
    if record is not None:
        return _task_of_record(record, story, None)
    story.task_type, story.target = story.task_type or letter.task_type, story.target or letter.target
    first, _, error = _ends(story) or (letter.buried_at, "", letter.error)
    return _task(story, letter.job, letter.entry, letter.url, first, letter.kind, error, due=None)


def _task(
    story: AttemptHistory, job: str, entry: int, url: str, first: float, kind: str, error: str, *, due: datetime | None
) -> FailedTask:
    task_type = story.task_type or TASK_TYPE
    return FailedTask(
        task_id=task_id(task_type, job, entry),
        task_type=task_type,
        target=story.target or url,
        error_message=error,
        retry_count=story.retries,
        max_retries=story.max_retries,
        next_retry_time=due,
        created_at=moment(first),
        metadata={"kind": kind, "url": url},
    )


def _task_of_record(record: TaskRecord, story: AttemptHistory, due: datetime | None) -> FailedTask:
    """A task of the service, whose error was charged to nobody when it was handed in."""
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


def _ends(story: AttemptHistory) -> tuple[float, str, str] | None:
    """When the first attempt failed, how and why the last."""
    if not story.attempts:
        return None
    _, kind, error = story.attempts[-1]
    return story.attempts[0][0], kind, error


PLAIN, PACKED = b"{", b"z"
"""How a payload begins. That of a request begins with neither."""


LARGE = 1024
"""Bytes from which on compression pays."""


WORDS = 0x9E3779B1
"""Odd, so that multiplying by it runs through all 32-bit numbers before one comes again."""


BACK = pow(WORDS, -1, 1 << 32)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What does not change about a task. How it fared is in its :class:`~scrapy_t8.model.attempts.AttemptHistory`.

    :param created_at: in Unix seconds.
    """

    task_id: str
    task_type: str
    target: str
    max_retries: int
    created_at: float
    metadata: dict[str, Any]

    def dumps(self, *, compress: bool) -> bytes:
        """The bytes of it. Metadata that is not JSON must have been refused before."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", "backslashreplace")
        return PACKED + zlib.compress(data) if compress and len(data) >= LARGE else data

    @classmethod
    def loads(cls, payload: bytes) -> TaskRecord | None:
        """The record in *payload*, or None if that is a request."""
        if payload[:1] == PACKED:
            return cls(**json.loads(zlib.decompress(payload[1:])))
        return cls(**json.loads(payload)) if payload[:1] == PLAIN else None


def task_id_of(task_type: str, entry: int) -> str:
    """The id of the task that is stored as *entry*: no two have the same."""
    return f"{task_type}_{entry * WORDS & 0xFFFFFFFF:08x}"


def entry_of(task_id: str) -> int | None:
    """The entry whose id that is, if :func:`task_id_of` made it; it may also come from elsewhere."""
    digits = task_id.rpartition("_")[2]
    try:
        return int(digits, 16) * BACK & 0xFFFFFFFF if len(digits) == 8 else None
    except ValueError:
        return None
