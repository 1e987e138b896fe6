"""The user's own database, asked so that it can neither crash nor hold up whoever asks."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any, Protocol, TypeVar

from scrapy_t8.errors import DatabaseError, T8Error
from scrapy_t8.utils.text import one_line
from scrapy_t8.utils.threads import NoAnswer, in_thread, with_timeout

T = TypeVar("T")
Take = Callable[[list[str]], None]
"""Is handed keys, some at a time, in a thread."""

CHUNK = 1000
"""Keys that are handed on together."""
TIMEOUT = 30.0
"""Seconds that the database may take for one answer."""
LONGEST = 3600.0
"""Seconds that all keys of a task type may take, however steadily they come."""


class Database(Protocol):
    """The user's own database. Its methods may be async, and ``iter_keys`` an async generator."""

    def count_items(self, task_type: str) -> int: ...

    def has_item(self, task_type: str, key: str) -> bool: ...

    def iter_keys(self, task_type: str) -> Iterable[str]: ...


class BoundedDatabase:
    """Asks *database*. Plain methods are called in threads of their own, async ones on the running loop.

    Neither a thread nor a stubborn coroutine can be ended from outside: a question without an answer is given up. As
    long as its thread hangs, and for *timeout* seconds, nothing more is asked: each question fails at once.

    :param timeout: seconds for one answer, or between two keys.
    :raises DatabaseFailed: from each question, saying how the database has failed.
    """

    def __init__(self, database: Database, timeout: float) -> None:
        self._database = database
        self._timeout = timeout
        self._open: set[object] = set()
        """Questions that are in a thread."""
        self._late: float | None = None
        """When a question was given up."""
        self._no_answer = f"the database gave no answer in {timeout:g} s"

    async def count(self, task_type: str) -> int:
        """How many items of *task_type* there are."""
        answer = await self._told(lambda: self._answer(self._database.count_items, task_type))
        if not isinstance(answer, int) or isinstance(answer, bool) or answer < 0:
            raise DatabaseError(f"the database failed: count_items returned {answer!r:.100}")
        return answer

    async def has(self, task_type: str, key: str) -> bool:
        """Whether the item of this *key* is there."""
        return bool(await self._told(lambda: self._answer(self._database.has_item, task_type, key)))

    async def keys(self, task_type: str, take: Take) -> None:
        """Hand the keys of all items to *take*, as they come: never all of them are in memory."""
        await self._told(lambda: self.stream(lambda: self._database.iter_keys(task_type), take))

    async def stream(self, begin: Callable[[], Any], take: Take) -> bool:
        """The same with any (async) iterable of keys, which *begin* returns. Returns whether it was one, not None."""
        flow = KeyStream(take)
        rest = await self._watched(self._in_thread(lambda: flow.pull(begin())), flow)
        if inspect.isawaitable(rest):
            rest = await self._watched(rest, flow)
            rest = await self._watched(self._in_thread(lambda: flow.pull(rest)), flow)
        if rest is not None:
            await self._watched(flow.follow(rest), flow)
        return not flow.is_none

    # -- how -----------------------------------------------------------------------------------------------------

    async def _answer(self, method: Callable[..., Any], *args: str) -> Any:
        async def ask() -> Any:
            answer = await self._in_thread(lambda: method(*args))
            return await answer if inspect.isawaitable(answer) else answer

        return await with_timeout(ask(), self._timeout)

    async def _watched(self, work: Awaitable[T], flow: KeyStream) -> T:
        try:
            return await with_timeout(work, self._timeout, since=lambda: flow.last, longest=LONGEST)
        except BaseException:
            flow.is_over = True
            raise

    async def _in_thread(self, call: Callable[[], T]) -> T:
        question = object()

        def counted() -> T:
            try:
                return call()
            finally:
                self._open.discard(question)

        self._open.add(question)
        return await in_thread(counted)

    async def _told(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, or in one line why there is none."""
        if self._is_quiet():
            raise DatabaseError(self._no_answer)
        try:
            return await ask()
        except NoAnswer:
            self._late = time.monotonic()
            raise DatabaseError(self._no_answer) from None
        except DatabaseError:
            raise
        except Exception as error:
            raise DatabaseError(f"the database failed: {named(error)}") from error

    def _is_quiet(self) -> bool:
        if self._late is not None and not self._open and time.monotonic() >= self._late + self._timeout:
            self._late = None
        return self._late is not None


class KeyStream:
    """Keys on their way, from whatever brings them, and when the last one came."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self.last = time.monotonic()
        self.is_over = False
        """Nobody waits for more."""
        self.is_none = False

    def pull(self, keys: Any) -> Any:
        """Hand on what a plain iterable has; what is not one is returned."""
        if inspect.isawaitable(keys) or hasattr(keys, "__aiter__"):
            return keys
        if keys is None:
            self.is_none = True
            return None
        told = (self._text(key) for key in keys)
        while (chunk := list(islice(told, CHUNK))) and not self.is_over:
            self._take(chunk)
        return None

    async def follow(self, keys: Any) -> None:
        """Hand on what an async iterable has."""
        chunk: list[str] = []
        async for key in keys:
            chunk.append(self._text(key))
            if len(chunk) >= CHUNK:
                await in_thread(self._take, chunk)
                chunk = []
        await in_thread(self._take, chunk)

    def _text(self, key: object) -> str:
        self.last = time.monotonic()
        if self.is_over:
            raise NoAnswer
        return "" if key is None else str(key)


def named(error: BaseException) -> str:
    """*error* on one line; of one of T8's own the line that it is."""
    return one_line(error if isinstance(error, T8Error) else f"{type(error).__name__}: {error}")
