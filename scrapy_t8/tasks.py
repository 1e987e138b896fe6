"""Failed requests as :class:`FailedTask`, the form in which other programs know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import blake2b
from typing import Any

from .errors import FormatError
from .model import DeadLetter, Story, Waiting

TASK_TYPE = "DETAIL_COLLECTION"
"""That of a request which does not tell its own."""

VERSION = 1
"""Of the format. A document need not tell it."""

NAMES = {str: "text", int: "a whole number", dict: "an object"}


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
        told = {name: getattr(self, name) for name in self.__slots__}
        due = self.next_retry_time
        return {**told, "next_retry_time": due and _told(due), "created_at": _told(self.created_at)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> FailedTask:
        """The task of a JSON object. Fields beyond its own are passed over; times without an offset are UTC.

        :raises FormatError: naming the field that is missing, or is not what it should be.
        """
        if not isinstance(document, Mapping):
            raise FormatError(f"a FailedTask is an object, not {_kind(document)}")
        if document.get("version", VERSION) != VERSION:
            found = _kind(document["version"])
            raise FormatError(f"version: this scrapy_t8 reads FailedTasks of version {VERSION}, not {found}", "version")
        return cls(
            task_id=_typed(document, "task_id", str),
            task_type=_typed(document, "task_type", str),
            target=_typed(document, "target", str),
            error_message=_typed(document, "error_message", str),
            retry_count=_typed(document, "retry_count", int),
            max_retries=_typed(document, "max_retries", int),
            next_retry_time=None if _get(document, "next_retry_time") is None else _time(document, "next_retry_time"),
            created_at=_time(document, "created_at"),
            metadata=dict(_typed(document, "metadata", dict)),
        )


def task_id(task_type: str, job: str, entry: int) -> str:
    """The id under which *entry* of *job* is known outside."""
    return f"{task_type}_{blake2b(f'{job}/{entry}'.encode(), digest_size=4).hexdigest()}"


def task_of_waiting(waiting: Waiting, job: str, url: str) -> FailedTask:
    """*waiting*, an entry of *job* for *url*, as a task that is tried again."""
    story = Story.loads(waiting.story)
    first, kind, error = _ends(story) or (waiting.due, "", "")
    return _task(story, job, waiting.id, url, first, kind, error, due=moment(waiting.due))


def task_of_letter(letter: DeadLetter) -> FailedTask:
    """*letter*, read whole, as a task given up on."""
    story = Story.loads(letter.story)
    story.task_type, story.target = story.task_type or letter.task_type, story.target or letter.target
    first, _, error = _ends(story) or (letter.buried_at, "", letter.error)
    return _task(story, letter.job, letter.entry, letter.url, first, letter.kind, error, due=None)


def moment(seconds: float) -> datetime:
    """Unix seconds as a time in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def _task(
    story: Story, job: str, entry: int, url: str, first: float, kind: str, error: str, *, due: datetime | None
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


def _ends(story: Story) -> tuple[float, str, str] | None:
    """When the first attempt failed, how and why the last."""
    if not story.attempts:
        return None
    _, kind, error = story.attempts[-1]
    return story.attempts[0][0], kind, error


# -- reading a document ------------------------------------------------------------------------------------------


def _get(document: Mapping[str, Any], name: str) -> Any:
    if name not in document:
        raise FormatError(f"{name}: a FailedTask needs this field", name)
    return document[name]


def _typed(document: Mapping[str, Any], name: str, wanted: type) -> Any:
    value = _get(document, name)
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise FormatError(f"{name}: {NAMES[wanted]} is needed, not {_kind(value)}", name)
    return value


def _time(document: Mapping[str, Any], name: str) -> datetime:
    text = _typed(document, name, str)
    try:
        # Before 3.11 Python knows no Z.
        time = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        raise FormatError(f"{name}: a time in ISO 8601 is needed, not {text!r}", name) from None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _told(time: datetime) -> str:
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).isoformat()


def _kind(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r:.60}"
