"""The user's own database, with time limits: its errors and hangs do not reach the caller."""

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
"""Receives keys, some at a time, in a thread."""

CHUNK = 1000
"""Keys that are passed on together."""
TIMEOUT = 30.0
"""Seconds that the database may take for one answer."""
LONGEST = 3600.0
"""Seconds that all keys of a task type may take, however steadily they arrive."""


class Database(Protocol):
    """The user's own database. Its methods may be async, and ``iter_keys`` an async generator."""

    def count_items(self, task_type: str) -> int: ...

    def has_item(self, task_type: str, key: str) -> bool: ...

    def iter_keys(self, task_type: str) -> Iterable[str]: ...


class BoundedDatabase:
    """Queries *database* with time limits. Plain methods run in threads, async ones on the running loop.

    Neither a thread nor a coroutine that ignores its cancellation can be ended from outside: a query without an answer
    is abandoned. While its thread hangs, and for at least *timeout* seconds, every other query fails at once.

    :param timeout: seconds for one answer, or between two keys.
    :raises DatabaseError: from each query, saying how the database has failed.
    """

    def __init__(self, database: Database, timeout: float) -> None:
        self._database = database
        self._timeout = timeout
        self._open: set[object] = set()
        """Queries that run in a thread."""
        self._abandoned: float | None = None
        """When the last query was abandoned."""
        self._no_answer = f"the database gave no answer in {timeout:g} s"

    async def count(self, task_type: str) -> int:
        """Return the number of items of *task_type*."""
        answer = await self._answer(lambda: self._call(self._database.count_items, task_type))
        if not isinstance(answer, int) or isinstance(answer, bool) or answer < 0:
            raise DatabaseError(f"the database failed: count_items returned {answer!r:.100}")
        return answer

    async def has(self, task_type: str, key: str) -> bool:
        """Whether the item with this *key* exists."""
        return bool(await self._answer(lambda: self._call(self._database.has_item, task_type, key)))

    async def keys(self, task_type: str, take: Take) -> None:
        """Pass the keys of all items to *take* as they arrive, so that they are never all in memory."""
        await self._answer(lambda: self.stream(lambda: self._database.iter_keys(task_type), take))

    async def stream(self, begin: Callable[[], Any], take: Take) -> bool:
        """Pass the keys of the (async) iterable that *begin* returns to *take*. Return False if that is None."""
        keys = KeyStream(take)
        rest = await self._watch(self._in_thread(lambda: keys.pull(begin())), keys)
        if inspect.isawaitable(rest):
            rest = await self._watch(rest, keys)
            rest = await self._watch(self._in_thread(lambda: keys.pull(rest)), keys)
        if rest is not None:
            await self._watch(keys.follow(rest), keys)
        return not keys.is_none

    async def _call(self, method: Callable[..., Any], *args: str) -> Any:
        async def call() -> Any:
            answer = await self._in_thread(lambda: method(*args))
            return await answer if inspect.isawaitable(answer) else answer

        return await with_timeout(call(), self._timeout)

    async def _watch(self, work: Awaitable[T], keys: KeyStream) -> T:
        try:
            return await with_timeout(work, self._timeout, since=lambda: keys.last, longest=LONGEST)
        except BaseException:
            keys.is_abandoned = True
            raise

    async def _in_thread(self, call: Callable[[], T]) -> T:
        query = object()

        def counted() -> T:
            try:
                return call()
            finally:
                self._open.discard(query)

        self._open.add(query)
        return await in_thread(counted)

    async def _answer(self, query: Callable[[], Awaitable[T]]) -> T:
        """Return the answer to *query*, or raise an error of one line."""
        if self._is_blocked():
            raise DatabaseError(self._no_answer)
        try:
            return await query()
        except NoAnswer:
            self._abandoned = time.monotonic()
            raise DatabaseError(self._no_answer) from None
        except DatabaseError:
            raise
        except Exception as error:
            raise DatabaseError(f"the database failed: {named(error)}") from error

    def _is_blocked(self) -> bool:
        if self._abandoned is not None and not self._open and time.monotonic() >= self._abandoned + self._timeout:
            self._abandoned = None
        return self._abandoned is not None


class KeyStream:
    """Passes keys to *take*, and records when the last one arrived."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self.last = time.monotonic()
        self.is_abandoned = False
        """Nobody waits for more keys."""
        self.is_none = False

    def pull(self, keys: Any) -> Any:
        """Pass on the keys of a plain iterable. Return anything else as it is."""
        if inspect.isawaitable(keys) or hasattr(keys, "__aiter__"):
            return keys
        if keys is None:
            self.is_none = True
            return None
        texts = (self._text(key) for key in keys)
        while (chunk := list(islice(texts, CHUNK))) and not self.is_abandoned:
            self._take(chunk)
        return None

    async def follow(self, keys: Any) -> None:
        """Pass on the keys of an async iterable."""
        chunk: list[str] = []
        async for key in keys:
            chunk.append(self._text(key))
            if len(chunk) >= CHUNK:
                await in_thread(self._take, chunk)
                chunk = []
        await in_thread(self._take, chunk)

    def _text(self, key: object) -> str:
        self.last = time.monotonic()
        if self.is_abandoned:
            raise NoAnswer
        return "" if key is None else str(key)


def named(error: BaseException) -> str:
    """Return *error* on one line, with its class unless it is an error of T8."""
    return one_line(error if isinstance(error, T8Error) else f"{type(error).__name__}: {error}")
