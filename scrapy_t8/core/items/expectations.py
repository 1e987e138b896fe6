"""Items that should be there: announced by their keys, or by the requests that are to bring them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scrapy import Request
from w3lib.url import canonicalize_url

from scrapy_t8.core.page import Expectation, Page
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.attempts import ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.items import ExpectationChange
from scrapy_t8.utils.text import escape_surrogates

from .keys import key_bytes, shown

META = "t8_expect"
"""In the meta of a request: the item that it is to bring."""
DEEPEST = 3
"""So many requests an item may be away from the one that it was said of."""
HELD = 2000
"""Keys whose hash is at hand: those of requests that were admitted lately, and will be done soon."""
NO_ITEM, DISCARDED, DEAD = "no_item", "discarded", "dead"


def expecting(request: Request, key: str, source: str, *, by_page: bool) -> None:
    """Say that *request* is to bring an item.

    :param key: its key; or *by_page* any text that names it: then each item of the page will do.
    :param source: who has announced it.
    """
    request.meta[META] = {"key": key, "source": source, "by_page": by_page}


def url_key(url: str) -> str:
    """The key of a page of which any item is expected: its URL, in a form that does not depend on how it is written."""
    return canonicalize_url(url)


class Expectations:
    """What one run learns of items that should be there.

    :param hashed: a hash of 63 bits.
    :param codec: for requests that come to nothing, to be tried again on demand.
    """

    def __init__(self, codec: Codec, hashed: Callable[[bytes], int]) -> None:
        self._codec = codec
        self._hash = hashed
        self._changes: dict[int, ExpectationChange] = {}
        self._came: list[int] = []
        self._numbers: dict[str, int] = {}
        self._announced: dict[str, int] = {}
        self.has: Callable[[int], bool] = lambda number: False
        """Whether this job has had an item whose key has this hash, as far as is known without looking it up."""
        self.by_url = False
        """Whether URLs are among the keys."""

    def of(self, request: Request) -> tuple[Expectation, ...]:
        """What *request* is to bring."""
        meta = request.meta
        told = meta.get(META)
        if told is not None:
            if isinstance(told, dict) and "key" in told:
                return (Expectation(str(told["key"]), bool(told.get("by_page")), int(told.get("depth", 0))),)
        elif self.by_url:
            url = meta.get("redirect_urls", [request.url])[0]
            return (Expectation(url_key(url), depth=DEEPEST, is_listed=False),)
        return ()

    # -- what the doors tell -------------------------------------------------------------------------------------

    def announce(self, announced: Iterable[tuple[str, str, int | None]]) -> None:
        """Items are there, so somebody says: source and key of each, or how many they are."""
        for source, key, total in announced:
            if total is not None:
                self._announced[escape_surrogates(source)] = total
            else:
                _name(self._change(key), source)

    def admitted(self, request: Request, *, live: bool = False) -> None:
        """*request* has entered the frontier; or runs from memory (*live*)."""
        for expectation in self.of(request):
            self._announce(request, expectation).opened += not live

    def dropped(self, request: Request) -> None:
        """*request* was seen before. What it was to bring is announced once more."""
        for expectation in self.of(request):
            self._announce(request, expectation)

    def pass_on(self, page: Page, request: Request) -> None:
        """*request* is an output of *page*: it may be what brings the item that the page was to bring."""
        if page.entered or META in request.meta:
            return
        for expectation in page.expects:
            if expectation.by_page and expectation.depth < DEEPEST:
                depth = expectation.depth + 1
                request.meta[META] = {"key": expectation.text, "by_page": True, "depth": depth}

    def missed(self, key: str, cause: str, url: str) -> None:
        """An item with this key was there, and is lost."""
        change = self._change(key, False)
        change.cause, change.url = cause, url or change.url

    # -- pages ---------------------------------------------------------------------------------------------------

    def settle(self, page: Page) -> None:
        """*page* has settled, unless it is going to be tried again or something takes its place."""
        if isinstance(page.verdict, ScheduledRetry) or (page.replaced and not isinstance(page.verdict, DeadLetter)):
            return
        for expectation in page.expects:
            self._settle(page, expectation)

    def _settle(self, page: Page, expectation: Expectation) -> None:
        number = self._number(expectation.text)
        came = self._has_come(page, expectation, number)
        if came and expectation.is_counted and page.verdict is None and number not in self._changes:
            # Its one request has brought it, and that is all there is to say: what mostly happens.
            self._came.append(number)
            return
        # It was announced when its request was admitted.
        change = self._change(expectation.text, False)
        change.collected = change.collected or came
        if isinstance(page.verdict, DeadLetter):
            change.cause, change.request = DEAD, page.verdict.fingerprint
            return
        change.opened -= expectation.is_counted
        if not change.collected:
            change.cause = page.lost or (DISCARDED if page.dropped else NO_ITEM)
            self._keep(page, change)

    def _has_come(self, page: Page, expectation: Expectation, number: int) -> bool:
        if not expectation.by_page:
            return bool(page.kept) and self.has(number)
        by_handler = page.woken and page.verdict is None and not page.dropped
        return bool(page.kept) or by_handler

    def _keep(self, page: Page, change: ExpectationChange) -> None:
        """The request of *page* may be tried again, should somebody want the item all the same."""
        if page.request is not None:
            change.url = page.request.url
            try:
                change.payload = self._codec.encode_request(page.request)
            except CannotStore:
                change.payload = None

    def _announce(self, request: Request, expectation: Expectation) -> ExpectationChange:
        change = self._change(expectation.text, expectation.is_listed)
        if expectation.is_listed:
            _name(change, str(request.meta[META].get("source", "")))
        return change

    def _change(self, key: str, is_announced: bool = True) -> ExpectationChange:
        number = self._number(key)
        change = self._changes.get(number)
        if change is None:
            change = self._changes[number] = ExpectationChange(shown(key))
        change.is_announced = change.is_announced or is_announced
        return change

    def _number(self, key: str) -> int:
        number = self._numbers.get(key)
        if number is None:
            if len(self._numbers) >= HELD:
                self._numbers.clear()
            number = self._numbers[key] = self._hash(key_bytes(key))
        return number

    # -- commits -------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        return len(self._changes) + len(self._came)

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        batch.expected, self._changes = self._changes, {}
        batch.collected, self._came = self._came, []
        batch.announced, self._announced = self._announced, {}


def _name(change: ExpectationChange, source: str) -> None:
    """*source* has announced it, too."""
    source = escape_surrogates(source)
    if source not in change.sources:
        change.sources += (source,)
