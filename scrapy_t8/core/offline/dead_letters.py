"""The dead letters of a job while no crawl runs: look at them, revive, discard, export them."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from itemadapter import ItemAdapter

from scrapy_t8.errors import CannotLoad
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter, LetterGroup
from scrapy_t8.model.failed_task import FailedTask, task_of_letter, task_of_waiting
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import ALL, DeadLetterStore, Store
from scrapy_t8.stores.owned import open_for_changes
from scrapy_t8.utils.text import to_json
from scrapy_t8.utils.times import moment

Letters: TypeAlias = list[DeadLetter]
Groups: TypeAlias = list[LetterGroup]

AT_ONCE = 1000  # Letters that are read together

DEEP = 20  # Levels of nesting in ``meta`` that are shown as JSON; what is deeper is shown as Python would


class DeadLetterReader:
    """Reads dead letters, and changes none."""

    def __init__(self, box: DeadLetterStore, codec: Codec) -> None:
        self._box = box
        self._codec = codec

    def list(self, which: LetterFilter = ALL, limit: int | None = None, after: int = 0) -> Letters:
        """Return the chosen letters with numbers above *after*, without request, story and detail: see :meth:`get`."""
        return self._box.letters(which, limit=limit, after=after)

    def get(self, number: int) -> DeadLetter | None:
        """Return the whole letter of this number, or None."""
        return self._box.letter(number)

    def groups(self, which: LetterFilter = ALL) -> Groups:
        """Return the chosen letters by cause (kind, error, host and callback), the most frequent first."""
        return self._box.groups(which)

    def count(self, which: LetterFilter = ALL) -> int:
        """Return how many letters there are."""
        return self._box.count(which)

    def heads(self, which: LetterFilter = ALL) -> Iterator[DeadLetter]:
        """Yield the chosen letters without their bodies."""
        last = 0
        while letters := self._box.letters(which, limit=AT_ONCE, after=last):
            yield from letters
            last = letters[-1].id

    def whole(self, which: LetterFilter = ALL) -> Iterator[DeadLetter]:
        """Yield the chosen letters with their bodies, of which only one at a time is in memory."""
        yield from filter(None, (self._box.letter(letter.id) for letter in self.heads(which)))

    def export(self, which: LetterFilter, file: IO[str]) -> int:
        """Write the chosen letters to *file*, one JSON object in a line each. Return how many.

        Times are ISO 8601 with UTC offset. ``request`` is an object with url, method, headers, body and meta, or null,
        and then ``request_error`` says why. Bytes that are no UTF-8 text are ``{"base64": ...}``.
        """
        written = 0
        for letter in self.whole(which):
            file.write(to_json(self.facts(letter)) + "\n")
            written += 1
        return written

    def facts(self, letter: DeadLetter) -> dict[str, Any]:
        """Return all data of *letter*, which was read whole, as JSON values."""
        bodies = ("payload", "story", "detail")
        facts = {"id": letter.id, **{name: value for name, value in letter._asdict().items() if name not in bodies}}
        return {
            **facts,
            "buried_at": moment(letter.buried_at).isoformat(),
            **_attempts(letter.story),
            "detail": json.loads(letter.detail) if letter.detail else None,
            **self._request(letter.payload),
        }

    def facts_of_waiting(self, waiting: ScheduledRetry) -> dict[str, Any]:
        """Return the attempts and the request of an entry that waits for its next try, in values that JSON has."""
        return {**_attempts(waiting.story), **self._request(waiting.payload)}

    def _request(self, payload: bytes) -> dict[str, Any]:
        if not payload:
            return {"request": None, "request_error": "it ran from memory and was not stored"}
        try:
            request = self._codec.decode_request(payload)
        except CannotLoad as error:
            return {"request": None, "request_error": str(error)}
        parts = {"headers": dict(request.headers), "body": request.body, "meta": request.meta}
        return {"request": {"url": request.url, "method": request.method, **plain(parts, DEEP + 1)}}


def _attempts(text: str | None) -> dict[str, Any]:
    story = AttemptHistory.loads(text)
    attempts = [{"time": moment(time).isoformat(), "kind": kind, "error": e} for time, kind, e in story.attempts]
    return {"attempts": attempts, "counts": story.counts}


class DeadLetters(DeadLetterReader):
    """The dead letters of *job*, to be revived or discarded while no crawl runs.

    Every change is one transaction: it happens with all of the chosen letters, or not at all.
    """

    def __init__(self, store: Store, job: JobRecord, codec: Codec, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(store.box, codec)
        self._store = store
        self._job = job
        self._clock = clock

    def tasks(self) -> Iterator[FailedTask]:
        """Yield every failed task: waiting ones, then those that were given up."""
        return failed_tasks(self._store.waiting(), self, self._job.id, self._codec)

    def revive(self, which: LetterFilter) -> int:
        """Let the chosen requests be tried again from the beginning. Return how many.

        A letter whose request could not be stored stays.
        """
        return self._store.box.revive(which, self._job, self._clock())

    def discard(self, which: LetterFilter) -> int:
        """Delete the chosen letters for good. Return how many."""
        return self._store.box.discard(which, self._job)


def failed_tasks(
    waiting: Iterable[ScheduledRetry], letters: DeadLetterReader, job: str, codec: Codec
) -> Iterator[FailedTask]:
    """Yield the waiting tasks, then those that were given up."""
    for one in waiting:
        yield task_of_waiting(one, job, codec.envelope(one.payload)[0])
    for letter in letters.whole():
        yield task_of_letter(letter)


@contextmanager
def open_dead_letters(jobdir: str | Path) -> Iterator[DeadLetters]:
    """Open the dead letters of the job in *jobdir*, which is locked meanwhile: no crawl can use it.

    :raises JobLocked: if a crawl is using it.
    :raises JobError: if there is no job. None is made.
    :raises StoreError: if its state cannot be read.
    """
    with open_for_changes(Path(jobdir) / "t8") as (store, job):
        yield DeadLetters(store, job, OfflineCodec())


class OfflineCodec(Codec):
    """Decodes requests whose spider's code is not available: their callbacks do nothing."""

    def _callback(self, name: str, attribute: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: None


def plain(value: Any, deep: int = DEEP) -> Any:
    """Return *value* as JSON values. Values without a JSON form become their repr."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if value is None or isinstance(value, (str, int)):
        return value
    if not deep:
        return repr(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part, deep - 1) for part in value]
    if not isinstance(value, Mapping):
        if not ItemAdapter.is_item(value):
            return repr(value)
        value = ItemAdapter(value)
    keys = (plain(key, 0) for key in value)
    texts = (key if isinstance(key, str) else json.dumps(key) for key in keys)
    return {text: plain(part, deep - 1) for text, part in zip(texts, value.values(), strict=True)}
