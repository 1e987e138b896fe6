"""A spider that pages through lists, by number or by cursor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cached_property
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response

from scrapy_t8.core.items.expectations import META as EXPECT
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.attempts import DETAIL, LIST
from scrapy_t8.utils.log.loggers import get_logger

from .base import T8SpiderMixin, outputs
from .list_page import WALK, ListMemory, ListPage, is_whole_round, output_key, title
from .urls import url_of_cursor

logger = get_logger(__name__)

GONE = 404
EXPIRED = [400, GONE, 410, 422]
"""Statuses with which sites refuse an expired cursor."""
EMPTY = "is empty"
JUMPED = "has the content of the first one: the site has jumped back"
MAX_WALKS = 3
"""How often a list is walked again because of one page."""


class ListSpider(T8SpiderMixin, Spider):
    """Follows one list or several, each with a resume point of its own (``LIST_COLLECTION``).

    With a ``last_page`` all pages are requested at once. Else each page leads to the next one: by its cursor
    (:meth:`next_cursor`) until there is none, or by the next number until a page is missing, has the content of an
    earlier one, or is empty although no :meth:`total` says that there is more.

    Define ``list_url`` or :meth:`list_request`; and :meth:`parse_list`.
    """

    list_url = ""
    """As in ``"https://example.com/cars?tag={tag}&page={page}"`` or ``"...&after={cursor}"``."""
    lists: Mapping[str, Mapping[str, Any]] = {"": {}}
    """Several lists by name: what to fill into the URL of each. It becomes the metadata of the resume point."""
    first_page = 1
    last_page: int | None = None
    max_empty_pages = 100
    """Maximum number of pages in a row without anything new; then the list is given up."""

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
        return Request(url_of_cursor(self.list_url, cursor or "", page=page, **metadata))

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
            logger.warning("The spider has no lists: nothing to do")
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
        point = self.t8.resume_point(LIST, name)
        if not is_under_way and point is not None and "ended" in point.metadata:
            self.t8.describe(LIST, name, {"ended": None})
        done, value = self.t8.handed_over(LIST, name)
        page = max(self.first_page, done + 1) if value else self.first_page
        if self.last_page is not None and page <= self.last_page:
            for number in range(page, self.last_page + 1):
                yield self._request(name, number, None, {"last": self.last_page})
        elif not is_under_way:
            yield self._first_request(name, page, value.get("cursor"))

    def _first_request(self, name: str, page: int, cursor: str | None) -> Request:
        if page > self.first_page and cursor is None and self._has_cursors:
            logger.warning("%s has no cursor for page %d: starting at its first page", title(name), page)
            self.t8.begin_again(LIST, name)
            page = self.first_page
        if page > self.first_page:
            logger.info("%s goes on at page %d", title(name), page)
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
            request.meta.setdefault("handle_httpstatus_list", [GONE] if cursor is None else EXPIRED)
        if "last" not in state:
            self._memory[name].asked = page
        is_walked = page <= state.get("until", 0)
        return request if is_walked else self.t8.at(request, LIST, name, position=page, page=page)

    # -- one page ------------------------------------------------------------------------------------------------

    async def _parse_page(
        self, response: Response, t8_list: str, t8_page: int, t8_cursor: str | None, t8_state: dict[str, Any]
    ) -> AsyncIterator[Any]:
        if self.t8.is_outdated(response.request):
            logger.info("%s has begun again since page %d was requested, which yields nothing", title(t8_list), t8_page)
            return
        is_refused = self._is_refused(response, t8_cursor)
        found = [] if is_refused else [output async for output in outputs(self.parse_list(response))]
        page = ListPage(t8_list, t8_page, t8_cursor, t8_state, response, found, [*map(output_key, found)], is_refused)
        trouble = self._trouble(page)
        self.t8.tell(response.request, units=0 if trouble else len(found))
        resumed = t8_state.get("resumed")
        if trouble and (resumed == t8_page or (resumed and trouble != EMPTY)):
            yield self._begin_again(page, trouble)
        elif trouble and self._is_stale(page, trouble):
            for request in self._walk_again(page, trouble):
                yield request
        elif trouble:
            self._end_with(page, trouble)
        else:
            before = self._memory[page.name].same_content(page) if page.keys and self._has_cursors else None
            for output in self._new(page, was_seen=before is not None):
                yield output
            for request in self._follow(page, before):
                yield request

    def _is_refused(self, response: Response, cursor: str | None) -> bool:
        expired = cursor is not None and response.meta.get("handle_httpstatus_list") == EXPIRED
        return response.status == GONE or (expired and response.status in EXPIRED)

    def _trouble(self, page: ListPage) -> str | None:
        """Return what keeps the list from going on after a page, or None."""
        if page.is_refused:
            return EMPTY if page.cursor is None else f"is refused with status {page.response.status}"
        has_jumped = page.keys and page.number != self.first_page and page.content == page.state.get("first")
        if has_jumped and (not self._has_cursors or self._is_stale(page, JUMPED)):
            return JUMPED
        if self._has_cursors:
            return None if page.keys or self.next_cursor(page.response) not in (None, "") else EMPTY
        if not page.keys:
            return None if self._total_says_more(page) else EMPTY
        before = self._memory[page.name].same_content(page)
        return None if before is None else f"has the content of page {before}: the list goes round in circles"

    def _total_says_more(self, page: ListPage) -> bool:
        """Whether there are more entries than fit on the pages so far."""
        total = self.total(page.response) if page.response.status != GONE else None
        total = page.state.get("total") if total is None else total
        return total is not None and (page.number - self.first_page + 1) * page.state.get("size", 0) < total

    def _is_stale(self, page: ListPage, trouble: str) -> bool:
        """Whether a page was requested in an earlier run, or long ago: its cursor or its session may have expired."""
        if page.number == self.first_page or "last" in page.state:
            return False
        was_retried = page.cursor is not None and bool(page.response.meta.get("retry_times"))
        return self._memory[page.name].asked != page.number or (was_retried and trouble != EMPTY)

    @cached_property
    def _memory(self) -> defaultdict[str, ListMemory]:
        """What this run remembers of each list."""
        return defaultdict(ListMemory)

    def _new(self, page: ListPage, *, was_seen: bool) -> Iterator[Any]:
        """Yield the outputs of a page, without items of the page before. Requests are left to the duplicate filter.

        Of a page that is walked again, or whose content *was seen*, only requests are yielded that the filter knows.
        """
        if page.is_walked or was_seen:
            yield from (output for output in page.found if isinstance(output, Request) and not output.dont_filter)
            return
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
            logger.info(message, title(page.name), moved, page.number)

    # -- what follows --------------------------------------------------------------------------------------------

    def _follow(self, page: ListPage, before: int | None) -> Iterator[Request]:
        """Yield the requests for pages that follow, and for the page before if entries may have slipped onto it.

        :param before: the number of an earlier page with the same content, in a list by cursor.
        """
        state: dict[str, Any] = {"first": page.content if page.number == self.first_page else page.state.get("first")}
        yield from self._after_shrinking(page, state)
        if "last" in page.state or page.number == page.state.get("stop"):
            return  # what follows was requested already
        state.update(keys=page.keys, used=page.cursor, resumed=page.state.get("resumed"))
        state["size"] = max(len(page.keys), page.state.get("size", 0))
        if page.is_walked:
            known = page.state["known"]
            state.update(keys=[*page.keys, *known], **{key: page.state[key] for key in WALK if key in page.state})
        elif before is not None or all(key in page.state.get("keys", ()) for key in page.keys):
            state["empty"] = page.state.get("empty", 0) + 1
        if before is not None:
            state["round"] = page.round_after(before)
        if state.get("empty", 0) > self.max_empty_pages:
            self._fail(page, f"the list goes on after {state['empty']} pages without anything new (max_empty_pages)")
        elif before is not None and is_whole_round(state["round"]):
            length = state["round"][1] - 1
            pages = f"page {page.number - length} has the content of page {before - length}"
            self._end(page.name, f"{pages}, and so on: the list goes round in circles", as_expected=False)
        else:
            yield from self._next(page, state)

    def _next(self, page: ListPage, state: dict[str, Any]) -> Iterator[Request]:
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
                return
            request = self._request(name, number + 1, cursor, state)
            here = self.list_request(number, page.cursor, **self.lists.get(name, {}))
            back = self._memory[name].leads_back(page, here, request)
            if back is None:
                self.t8.tell(page.response.request, cursor=cursor)
                yield request
            else:
                where = "itself" if back == number else f"page {back}"
                self._end(name, f"page {number} leads to {where}: its cursor is {cursor!r} again", as_expected=False)

    def _cursor(self, page: ListPage) -> str | None:
        cursor = self.next_cursor(page.response)
        if cursor is None or cursor == "":
            return None
        if isinstance(cursor, (str, int)) and not isinstance(cursor, bool):
            return str(cursor)
        raise TypeError(
            f"{type(self).__name__}.next_cursor returned {cursor!r:.80} for page {page.number} of {title(page.name)}: "
            "a cursor is text, a whole number, or None on the last page"
        )

    def _after_shrinking(self, page: ListPage, state: dict[str, Any]) -> Iterator[Request]:
        """Yield the page before once more, if entries may have slipped onto it."""
        total, was = self.total(page.response), page.state.get("total")
        if total is None:
            state.update({} if was is None else {"total": was})
            return
        state["total"] = total
        self.t8.describe(LIST, page.name, {"total": total})
        self.t8.expect_total(total, page.name or "list")
        if was is not None and total < was and page.number > self.first_page:
            message = "%s has shrunk from %d to %d entries: fetching page %d again"
            logger.info(message, title(page.name), was, total, page.number - 1)
            request = self.list_request(page.number - 1, page.state.get("used"), **self.lists.get(page.name, {}))
            known = [*page.state.get("keys", ()), *page.keys]
            yield request.replace(callback=self._parse_again, dont_filter=True, cb_kwargs={"t8_known": known})

    async def _parse_again(self, response: Response, t8_known: list[str]) -> AsyncIterator[Any]:
        async for output in outputs(self.parse_list(response)):
            if isinstance(output, Request) or output_key(output) not in t8_known:
                yield output

    # -- the end -------------------------------------------------------------------------------------------------

    def _begin_again(self, page: ListPage, trouble: str) -> Request:
        message = "%s cannot go on at its resume point: page %d %s. Starting again at page %d"
        logger.warning(message, title(page.name), page.number, trouble, self.first_page)
        self._memory[page.name].forget_pages()
        self.t8.begin_again(LIST, page.name)
        return self._request(page.name, self.first_page, None, {"keys": page.keys})

    def _walk_again(self, page: ListPage, trouble: str) -> Iterator[Request]:
        """Yield the first page, from which the list is followed again to the page where it was."""
        walks, until = page.state.get("walks", 0) + 1, max(page.number - 1, page.state.get("until", 0))
        if walks > MAX_WALKS:
            self._fail(page, f"page {page.number} {trouble}, and did so after the list was walked {MAX_WALKS} times")
            return
        message = "%s cannot go on: page %d %s. It is followed again from page %d, and resumed after page %d"
        logger.warning(message, title(page.name), page.number, trouble, self.first_page, until)
        self._memory[page.name].forget_pages()
        self.t8.forget(page.response.request)  # the position is passed when the list has come there again
        state = {"until": until, "known": list(page.state.get("keys", ())), "walks": walks}
        if "stop" in page.state or self.t8.handed_over(LIST, page.name)[0] > until + 1:
            state["stop"] = until + 1  # a kill came before this page settled: the page after it is in the frontier
        yield self._request(page.name, self.first_page, None, state)

    def _end_with(self, page: ListPage, trouble: str) -> None:
        last = page.state.get("last")
        number = f"page {page.number}" if last is None else f"page {page.number} of {last}"
        if trouble != EMPTY and (last is not None or page.is_refused):
            self._fail(page, f"{number} {trouble}")  # a last page or a cursor shows that there are more pages
            return
        self._end(page.name, f"{number} {trouble}", as_expected=trouble == EMPTY and last is None)
        if last is None:
            self.t8.forget(page.response.request)  # the list ends before this page

    def _end(self, name: str, why: str, *, as_expected: bool = True) -> None:
        (logger.info if as_expected else logger.warning)("%s has ended: %s", title(name), why)
        self.t8.describe(LIST, name, {"ended": why})

    def _fail(self, page: ListPage, why: str) -> None:
        """Make a page a dead letter: the list is not finished."""
        logger.error("%s is not finished: %s", title(page.name), why)
        self.t8.give_up(f"{title(page.name)} is not finished: {why}", status=page.response.status)
