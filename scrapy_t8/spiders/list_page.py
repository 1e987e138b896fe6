"""A page of a list, and the memory of a run for the pages of each list."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Any, NamedTuple

from itemadapter import ItemAdapter
from scrapy import Request
from scrapy.http import Response

REMEMBERED = 10_000
"""Pages of a list that a run remembers, to notice that the list goes round in circles."""

SHORTEST_ROUND = 4
"""Pages in a row that must have the content of earlier ones before a list by cursor counts as one in circles."""


WALK = ("until", "known", "walks", "stop")
"""What the pages of a walk hand on: the last page that is only passed, the items known there, how many walks there
were, and the page after which the rest of the list is in the frontier already."""


class ListPage(NamedTuple):
    """A page of a list that was fetched, with its outputs and a digest of each."""

    name: str
    number: int
    cursor: str | None
    state: dict[str, Any]
    """What the page before has handed on."""
    response: Response
    found: list[Any]
    keys: list[str]
    is_refused: bool
    """Whether the site does not have the page."""

    @property
    def content(self) -> str:
        """A digest of the content of the page."""
        return digest(*self.keys)

    @property
    def is_walked(self) -> bool:
        """Whether the page was fetched before, and only leads to the page where the list was."""
        return bool(self.number <= self.state.get("until", 0))

    def round_after(self, before: int) -> list[int]:
        """Return by how many pages the list repeats itself, and how many pages in a row up to this one.

        :param before: the number of an earlier page with the same content.
        """
        offset, (last, length) = self.number - before, self.state.get("round", (0, 0))
        return [offset, length + 1 if offset == last else 1]


def is_whole_round(repeated: list[int]) -> bool:
    """Whether a list has repeated itself for a whole round. One page again and again is none: it may be a banner."""
    offset, length = repeated
    return offset > 1 and length >= max(offset, SHORTEST_ROUND)


class ListMemory:
    """The pages of one list that this run has seen or requested."""

    def __init__(self) -> None:
        self.asked = 0
        """The page that was requested last, where each page leads to the next one."""
        self._contents: OrderedDict[str, tuple[int, str | None]] = OrderedDict()
        self._requests: OrderedDict[str, int] = OrderedDict()

    def forget_pages(self) -> None:
        """Forget all pages: the list starts again."""
        self._contents.clear()
        self._requests.clear()

    def same_content(self, page: ListPage) -> int | None:
        """Return the number of the last page before that had the same content."""
        here = (page.number, page.cursor)
        before = self._contents.pop(page.content, here)
        self._contents[page.content] = here
        if len(self._contents) > REMEMBERED:
            self._contents.popitem(last=False)
        return None if before == here else before[0]

    def leads_back(self, page: ListPage, request: Request, following: Request) -> int | None:
        """Return the number of the earlier page that *following* requests again; None if it requests a new page.

        :param request: the request for *page*.
        """
        self._requests[output_key(request)] = page.number
        if len(self._requests) > REMEMBERED:
            self._requests.popitem(last=False)
        return self._requests.get(output_key(following))


def title(name: str) -> str:
    """Return what messages call a list."""
    return f"The list {name!r}" if name else "The list"


def output_key(output: Any) -> str:
    """Return a digest of one output of a page."""
    if isinstance(output, Request):
        return digest(output.method, output.url, output.body.decode("latin-1"))
    return digest(repr(sorted(ItemAdapter(output).asdict().items(), key=str)))


def digest(*texts: str) -> str:
    """Return a short hash of *texts*."""
    return blake2b("\0".join(texts).encode(), digest_size=6).hexdigest()
