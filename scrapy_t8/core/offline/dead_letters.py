"""The dead-letter box as people use it: look into it, revive, discard, export.

While no crawl runs, :func:`open_dead_letters` opens the box of a job directory; a running crawl has its own.
"""

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
from scrapy import Request, Spider

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

AT_ONCE = 1000
"""Letters that are looked up together where all are wanted."""

DEEP = 20
"""How deep values in ``meta`` are followed."""


class DeadLetterReader:
    """The letters of a box, without changing any: what every owner and every reader of it can do.

    :param codec: makes stored requests requests again.
    """

    def __init__(self, box: DeadLetterStore, codec: Codec) -> None:
        self._box = box
        self._codec = codec

    def list(self, which: LetterFilter = ALL, limit: int | None = None, after: int = 0) -> Letters:
        """The chosen letters by number, beginning *after* one, without request, story and detail: see :meth:`get`."""
        return self._box.letters(which, limit=limit, after=after)

    def get(self, number: int) -> DeadLetter | None:
        """One letter, whole; None if there is none of this number."""
        return self._box.letter(number)

    def groups(self, which: LetterFilter = ALL) -> Groups:
        """The chosen letters by cause (kind, error, host and callback), the most frequent first."""
        return self._box.groups(which)

    def count(self, which: LetterFilter = ALL) -> int:
        """How many there are."""
        return self._box.count(which)

    def whole(self, which: LetterFilter = ALL) -> Iterator[DeadLetter]:
        """The chosen letters with their bodies, of which only one at a time is held."""
        last = 0
        while letters := self.list(which, AT_ONCE, last):
            for letter in letters:
                whole = self.get(letter.id)
                if whole is not None:
                    yield whole
            last = letters[-1].id

    def export(self, which: LetterFilter, file: IO[str]) -> int:
        """Write the chosen letters to *file*, one JSON object in a line each. Returns how many.

        Times are ISO 8601 with UTC offset. ``request`` is an object with url, method, headers, body and meta, or null,
        and then ``request_error`` says why. Bytes that are no UTF-8 text are ``{"base64": ...}``.
        """
        written = 0
        for letter in self.whole(which):
            file.write(to_json(self.facts(letter)) + "\n")
            written += 1
        return written

    def facts(self, letter: DeadLetter) -> dict[str, Any]:
        """All that is known of a *letter* that was read whole, in values that JSON has."""
        bodies = ("payload", "story", "detail")
        facts = {"id": letter.id, **{n: getattr(letter, n) for n in DeadLetter.__slots__ if n not in bodies}}
        story = AttemptHistory.loads(letter.story)
        return {
            **facts,
            "buried_at": moment(letter.buried_at).isoformat(),
            "attempts": [{"time": moment(t).isoformat(), "kind": kind, "error": e} for t, kind, e in story.attempts],
            "counts": story.counts,
            "detail": json.loads(letter.detail) if letter.detail else None,
            **self._request(letter.payload),
        }

    def _request(self, payload: bytes) -> dict[str, Any]:
        if not payload:
            return {"request": None, "request_error": "it ran from memory and was not stored"}
        try:
            return {"request": request_facts(self._codec.decode_request(payload))}
        except CannotLoad as error:
            return {"request": None, "request_error": str(error)}


class DeadLetters(DeadLetterReader):
    """What a job has given up on, and what can be done about it.

    Every change is one transaction: it happens with all of the chosen letters, or not at all.

    :param job: the job that lives in *store*; its books are kept with each change.
    :param before: called before each change: a running job commits what it has done.
    :param after: called after each change: a running job takes up what was revived.
    """

    def __init__(
        self,
        store: Store,
        job: JobRecord,
        codec: Codec,
        clock: Callable[[], float] = time.time,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(store.box, codec)
        self._store = store
        self._job = job
        self._clock = clock
        self._before = before
        self._after = after

    def tasks(self) -> Iterator[FailedTask]:
        """All that failed and is not through: what waits for its next try, then what was given up on."""
        return failed_tasks(self._store.waiting(), self, self._job.id, self._codec)

    # -- changing ------------------------------------------------------------------------------------------------

    def revive(self, which: LetterFilter) -> int:
        """Let the chosen requests be tried once more, from the beginning. Returns how many.

        A request that could not be stored has no letter to revive: that one stays.
        """
        self._before()
        revived = self._store.box.revive(which, self._job, self._clock())
        self._after()
        return revived

    def discard(self, which: LetterFilter) -> int:
        """Throw the chosen letters away for good. Returns how many."""
        self._before()
        discarded = self._store.box.discard(which, self._job)
        self._after()
        return discarded


def failed_tasks(
    waiting: Iterable[ScheduledRetry], letters: DeadLetterReader, job: str, codec: Codec
) -> Iterator[FailedTask]:
    """What waits for its next try, then what was given up on."""
    for one in waiting:
        yield task_of_waiting(one, job, codec.envelope(one.payload)[0])
    for letter in letters.whole():
        yield task_of_letter(letter)


@contextmanager
def open_dead_letters(jobdir: str | Path) -> Iterator[DeadLetters]:
    """The dead letters of the job in *jobdir*, which is owned meanwhile: no crawl can run with it.

    :raises JobLocked: if one does.
    :raises JobError: if there is no job. None is made.
    :raises StoreError: if its state cannot be read.
    """
    with open_for_changes(Path(jobdir) / "t8") as (store, job):
        yield DeadLetters(store, job, Codec(StubSpider()))


class StubSpider(Spider):
    """Stands in for a spider that is not at hand: it has a method of every name, none of which does anything."""

    name = "any"

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _nothing


def _nothing(*args: Any, **kwargs: Any) -> None:
    pass


# -- a request as JSON -------------------------------------------------------------------------------------------


def request_facts(request: Request) -> dict[str, Any]:
    """What a person asks of *request*, in values that JSON has."""
    return {
        "url": request.url,
        "method": request.method,
        "headers": plain(dict(request.headers)),
        "body": plain(request.body),
        "meta": plain(request.meta),
    }


def plain(value: Any, deep: int = DEEP) -> Any:
    """*value* as far as JSON allows; what it has no form for is shown as Python would."""
    if isinstance(value, bytes):
        return _text_or_base64(value)
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
    return {_key(key): plain(part, deep - 1) for key, part in value.items()}


def _key(key: Any) -> str:
    shown = plain(key, 0)
    return shown if isinstance(shown, str) else json.dumps(shown)


def _text_or_base64(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
