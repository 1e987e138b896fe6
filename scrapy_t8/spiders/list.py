"""A spider that pages through lists, by number or by cursor."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

from itemadapter import ItemAdapter
from scrapy import Request, Spider
from scrapy.http import Response

from scrapy_t8.core.items.expectations import META as EXPECT
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.resume_point import DETAIL, LIST

from .base import T8SpiderMixin, outputs

logger = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Pages of a list whose content a run remembers, to notice that the list goes round in circles."""
GONE = 404
EMPTY = "is empty"


class ListSpider(T8SpiderMixin, Spider):
    """Pages through one list or several, each with a resume point of its own (``LIST_COLLECTION``).

    With a ``last_page`` all pages are requested at once. Else each page leads to the next one: by its cursor
    (:meth:`next_cursor`), or by the next number until a page is empty, missing, or has the content of an earlier one.

    Define ``list_url`` or :meth:`list_request`; and :meth:`parse_list`.
    """

    list_url = ""
    """As in ``"https://example.com/cars?tag={tag}&page={page}"`` or ``"...&after={cursor}"``."""
    lists: Mapping[str, Mapping[str, Any]] = {"": {}}
    """Several lists by name: what to fill into the URL of each. It becomes the metadata of the resume point."""
    first_page = 1
    last_page: int | None = None

    def parse_list(self, response: Response) -> Any:
        """Return or yield the items and requests of a list page."""
        raise NotImplementedError(f"{type(self).__name__}.parse_list is not defined")

    def list_request(self, page: int, cursor: str | None, **metadata: Any) -> Request:
        """Return the request for a page of a list.

        :param cursor: what :meth:`next_cursor` returned for the page before; None for the first page.
        :param metadata: what ``lists`` has for this list.
        """
        if cursor is not None and cursor.startswith(("https://", "http://")):
            return Request(cursor)
        return Request(self.list_url.format(page=page, cursor=cursor or "", **metadata))

    def next_cursor(self, response: Response) -> Any:
        """Return what leads to the next page, such as a token of an API or the URL of a link; None on the last page.

        A whole URL is requested as it is, unless :meth:`list_request` does otherwise.
        """
        raise NotImplementedError

    def find_last_page(self, response: Response) -> int | None:
        """Return the number of the last page, if the first page shows it."""
        return self.last_page

    def total(self, response: Response) -> int | None:
        """Return how many entries the list has, if the page shows it. If the list shrinks, a page is fetched again."""
        return None

    # -- the beginning -------------------------------------------------------------------------------------------

    async def start(self) -> AsyncIterator[Any]:
        if not self.lists:
            logger.warning("There are no lists: nothing to do")
        if self.last_page is not None and self.last_page < self.first_page:
            raise ConfigError(f"{self.name}: last_page is {self.last_page}, before first_page ({self.first_page})")
        for name, metadata in self.lists.items():
            self.t8.describe(LIST, name, metadata)
            async for request in self.lazily(self._beginning(name)):
                yield request

    def _beginning(self, name: str) -> Iterator[Request]:
        """Yield the first request of a list, or all of them; none if the frontier has them already."""
        is_under_way = self.t8.knows(LIST, name)
        if not is_under_way and not self.t8.was_given(LIST, name):
            self.t8.begin_again(LIST, name)  # the job that moved the point has finished
        done, value = self.t8.handed_over(LIST, name)
        page = max(self.first_page, done + 1) if value else self.first_page
        if self.last_page is not None and page <= self.last_page:
            for number in range(page, self.last_page + 1):
                yield self._request(name, number, None, {"last": self.last_page})
        elif not is_under_way:
            yield self._first_request(name, page, value.get("cursor"))

    def _first_request(self, name: str, page: int, cursor: str | None) -> Request:
        if page > self.first_page and cursor is None and self._has_cursors:
            logger.warning("%s has no cursor for page %d: starting at its first page", _title(name), page)
            self.t8.begin_again(LIST, name)
            page = self.first_page
        if page > self.first_page:
            logger.info("%s goes on at page %d", _title(name), page)
        return self._request(name, page, cursor, {"resumed": page if page > self.first_page else None})

    @property
    def _has_cursors(self) -> bool:
        return type(self).next_cursor is not ListSpider.next_cursor

    def _request(self, name: str, page: int, cursor: str | None, state: dict[str, Any]) -> Request:
        request = self.list_request(page, cursor, **self.lists.get(name, {}))
        request = request.replace(
            callback=self._parse_page,
            # A page that leads back to an earlier one must be noticed here, not vanish as a duplicate.
            dont_filter=True,
            cb_kwargs={"t8_list": name, "t8_page": page, "t8_cursor": cursor, "t8_state": state},
        )
        request.meta.setdefault("t8_task_type", LIST)
        request.meta.setdefault("t8_target", f"{name} {page}".strip())
        if page > self.first_page:
            request.meta.setdefault("handle_httpstatus_list", [GONE])
        return self.t8.at(request, LIST, name, position=page, page=page)

    # -- one page ------------------------------------------------------------------------------------------------

    async def _parse_page(
        self, response: Response, t8_list: str, t8_page: int, t8_cursor: str | None, t8_state: dict[str, Any]
    ) -> AsyncIterator[Any]:
        found = [] if response.status == GONE else [output async for output in outputs(self.parse_list(response))]
        page = _Page(t8_list, t8_page, t8_cursor, t8_state, response, found, [_key(output) for output in found])
        trouble = self._trouble(page)
        self.t8.tell(response.request, units=0 if trouble else len(found))
        resumed = t8_state.get("resumed")
        if trouble and (resumed == t8_page or (resumed and trouble != EMPTY)):
            yield self._begin_again(page, trouble)
        elif trouble:
            self._end_with(page, trouble)
        else:
            for output in self._new(page):
                yield output
            state = {"first": _digest(*page.keys) if t8_page == self.first_page else t8_state.get("first")}
            for request in self._after_shrinking(page, state):
                yield request
            if "last" not in t8_state:  # else all pages were requested at once
                state.update(keys=page.keys, used=t8_cursor, resumed=resumed)
                for request in self._next(page, state):
                    yield request

    def _trouble(self, page: _Page) -> str | None:
        """Return what keeps the list from going on after a page, or None."""
        if not page.keys:
            return EMPTY
        content = _digest(*page.keys)
        if page.number != self.first_page and content == page.state.get("first"):
            return "has the content of the first one: the site has jumped back"
        seen, here = self._contents.setdefault(page.name, OrderedDict()), (page.number, page.cursor)
        before = seen.setdefault(content, here)
        if len(seen) > REMEMBERED:
            seen.popitem(last=False)
        return None if before == here else f"has the content of page {before[0]}: the list goes round in circles"

    @cached_property
    def _contents(self) -> dict[str, OrderedDict[str, tuple[int, str | None]]]:
        """For each list: digests of the pages that this run has seen, and where each was."""
        return {}

    def _new(self, page: _Page) -> Iterator[Any]:
        """Yield the outputs of a page, without items of the page before. Requests are left to the duplicate filter."""
        before, moved = page.state.get("keys", ()), 0
        for output, key in zip(page.found, page.keys, strict=True):
            if isinstance(output, Request):
                output.meta.setdefault("t8_task_type", DETAIL)
                if EXPECT not in output.meta:
                    self.t8.expect_page(output, output.meta.get("t8_target"), page.name or "list")
            moved += key in before
            if key not in before or isinstance(output, Request):
                yield output
        if moved:
            message = "%s has shifted: %d entries of page %d were on the page before"
            logger.info(message, _title(page.name), moved, page.number)

    # -- what follows --------------------------------------------------------------------------------------------

    def _next(self, page: _Page, state: dict[str, Any]) -> Iterator[Request]:
        """Yield the requests for the pages that follow."""
        name, number = page.name, page.number
        last = self.find_last_page(page.response) if number == self.first_page else None
        if last is not None:
            for following in range(number + 1, last + 1):
                yield self._request(name, following, None, {"last": last, "first": state["first"]})
        elif not self._has_cursors:
            yield self._request(name, number + 1, None, state)
        else:
            cursor = self._cursor(page)
            if cursor is None:
                self._end(name, f"page {number} is the last")
            elif cursor == page.cursor:
                self._end(name, f"page {number} leads to itself: its cursor is {cursor!r} again", as_expected=False)
            else:
                self.t8.tell(page.response.request, cursor=cursor)
                yield self._request(name, number + 1, cursor, state)

    def _cursor(self, page: _Page) -> str | None:
        cursor = self.next_cursor(page.response)
        if cursor is None or cursor == "":
            return None
        if isinstance(cursor, (str, int)) and not isinstance(cursor, bool):
            return str(cursor)
        raise TypeError(
            f"{type(self).__name__}.next_cursor returned {cursor!r:.80} for page {page.number} of {_title(page.name)}: "
            "a cursor is text, a whole number, or None on the last page"
        )

    def _after_shrinking(self, page: _Page, state: dict[str, Any]) -> Iterator[Request]:
        """Yield the page before once more, if entries may have slipped onto it."""
        total, was = self.total(page.response), page.state.get("total")
        if total is None:
            return
        state["total"] = total
        self.t8.describe(LIST, page.name, {"total": total})
        self.t8.expect_total(total, page.name or "list")
        if was is not None and total < was and page.number > self.first_page:
            message = "%s has shrunk from %d to %d entries: fetching page %d again"
            logger.info(message, _title(page.name), was, total, page.number - 1)
            request = self.list_request(page.number - 1, page.state.get("used"), **self.lists.get(page.name, {}))
            known = [*page.state.get("keys", ()), *page.keys]
            yield request.replace(callback=self._parse_again, dont_filter=True, cb_kwargs={"t8_known": known})

    async def _parse_again(self, response: Response, t8_known: list[str]) -> AsyncIterator[Any]:
        async for output in outputs(self.parse_list(response)):
            if isinstance(output, Request) or _key(output) not in t8_known:
                yield output

    # -- the end -------------------------------------------------------------------------------------------------

    def _begin_again(self, page: _Page, trouble: str) -> Request:
        message = "%s cannot go on at its resume point: page %d %s. Starting again at page %d"
        logger.warning(message, _title(page.name), page.number, trouble, self.first_page)
        self._contents.pop(page.name, None)
        self.t8.begin_again(LIST, page.name)
        return self._request(page.name, self.first_page, None, {"keys": page.keys})

    def _end_with(self, page: _Page, trouble: str) -> None:
        last = page.state.get("last")
        number = f"page {page.number}" if last is None else f"page {page.number} of {last}"
        self._end(page.name, f"{number} {trouble}", as_expected=trouble == EMPTY and last is None)
        if last is None:
            self.t8.forget(page.response.request)  # the list ends before this page

    def _end(self, name: str, why: str, *, as_expected: bool = True) -> None:
        (logger.info if as_expected else logger.warning)("%s has ended: %s", _title(name), why)


class _Page(NamedTuple):
    """A page of a list that was fetched, with its outputs and a digest of each."""

    name: str
    number: int
    cursor: str | None
    state: dict[str, Any]
    """What the page before has handed on."""
    response: Response
    found: list[Any]
    keys: list[str]


def _title(name: str) -> str:
    return f"The list {name!r}" if name else "The list"


def _key(output: Any) -> str:
    """Return a digest that tells one output of a page from another."""
    if isinstance(output, Request):
        return _digest(output.method, output.url, output.body.decode("latin-1"))
    return _digest(repr(sorted(ItemAdapter(output).asdict().items(), key=str)))


def _digest(*texts: str) -> str:
    return blake2b("\0".join(texts).encode(), digest_size=6).hexdigest()
