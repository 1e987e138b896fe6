"""Requests that a middleware of the project holds back, and may send again.

A middleware ignores requests and keeps them in a list, or sends a request of its own (for a token, a login) for one,
and yields them all later. The list is gone with the process. So the page of such a request does not settle before the
request comes back: after a kill the entry is still there. What has not come back when the crawl has finished has ended
without a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from scrapy import Request

from scrapy_t8.core.page import Page
from scrapy_t8.model.entry import Ending

MARK = "t8_set_aside"
"""Key in the meta of a request that is set aside, and of its copies."""
MOST = 10_000
"""Requests that are set aside at a time. If there are more, the oldest have ended."""


@dataclass(eq=False, repr=False, slots=True)
class Aside:
    """A request that is set aside.

    :param ending: the ending to record if the request does not come back.
    :param in_memory: whether the request runs from memory, as a part of *page*.
    """

    number: int
    request: Request
    page: Page
    ending: Ending
    in_memory: bool


class SetAside:
    """The requests that are set aside."""

    def __init__(self, fingerprint: Callable[[Request], int]) -> None:
        self._fingerprint = fingerprint
        self._by_number: dict[int, Aside] = {}
        self._by_fingerprint: dict[int, list[Aside]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._by_number)

    def add(self, request: Request, page: Page, ending: Ending, *, in_memory: bool) -> None:
        """Set *request* aside, which is of *page* and has left the engine."""
        self._number += 1
        request.meta[MARK] = self._number
        aside = Aside(self._number, request, page, ending, in_memory)
        self._by_number[aside.number] = aside
        self._by_fingerprint.setdefault(self._fingerprint(request), []).append(aside)

    def has(self, page: Page) -> bool:
        """Whether the request of *page* is set aside."""
        return any(aside.page is page and not aside.in_memory for aside in self._by_number.values())

    def find(self, request: Request) -> Aside | None:
        """Return the request that *request* looks like, if that one is set aside."""
        same = self._by_fingerprint.get(self._fingerprint(request), ())
        return next((aside for aside in same if is_same_work(request, aside.request)), None)

    def take_mark(self, request: Request) -> Aside | None:
        """Return the request of which *request* is a copy, if that one is set aside. The mark of copies is removed."""
        return self._by_number.get(request.meta.pop(MARK)) if MARK in request.meta else None

    def remove(self, aside: Aside) -> None:
        """Record that a request is no longer set aside."""
        del self._by_number[aside.number]
        fingerprint = self._fingerprint(aside.request)
        self._by_fingerprint[fingerprint].remove(aside)
        if not self._by_fingerprint[fingerprint]:
            del self._by_fingerprint[fingerprint]

    def remove_page(self, page: Page) -> bool:
        """Record that the request of *page* is no longer set aside. Return whether it was."""
        found = [aside for aside in self._by_number.values() if aside.page is page and not aside.in_memory]
        for aside in found:
            self.remove(aside)
        return bool(found)

    def give_up(self, most: int = 0) -> Iterator[Page]:
        """Record that the oldest requests have ended, until only *most* are left, and yield the page of each."""
        while len(self._by_number) > most:
            aside = next(iter(self._by_number.values()))
            self.remove(aside)
            if aside.in_memory:
                aside.page.end_in_memory(aside.ending)
            else:
                aside.page.discard(aside.ending)
            yield aside.page


def is_same_work(other: Request, request: Request) -> bool:
    """Whether *other* has the same callback and errback as *request*."""
    if _is_on_board(other, request):
        return True
    if (other.callback, other.errback, other.cb_kwargs) != (request.callback, request.errback, request.cb_kwargs):
        return False
    return request.callback is not None or _leads_back(other, request) or _known(request) <= other.meta.keys()


def takes_over(other: Request, request: Request) -> bool:
    """Whether *other* does all that *request* was to do, and says so: a retry, a redirect, a request by way of a proxy.

    Then it can take the place of *request* in the store.
    """
    return is_same_work(other, request) and (_leads_back(other, request) or _is_on_board(other, request))


def _is_on_board(other: Request, request: Request) -> bool:
    """Whether *request*, as one for a token, has in its meta the request that *other* repeats."""
    return any(
        isinstance(value, Request) and (value.url, value.callback) == (other.url, other.callback)
        for value in request.meta.values()
    )


def _leads_back(other: Request, request: Request) -> bool:
    """Whether *other* names the URL of *request*."""
    url = request.url
    return (
        url in other.url
        or quote(url, "") in other.url
        or url in other.meta.get("redirect_urls", ())
        or any(value is request or (isinstance(value, str) and value == url) for value in other.meta.values())
    )


def _known(request: Request) -> set[str]:
    """Return the keys in the meta of *request* that were there before the download."""
    return {key for key in request.meta if not str(key).startswith(("download_", "t8_"))}
