"""Expected items: announced by their keys, or by the requests that will bring them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from scrapy import Request
from w3lib.url import canonicalize_url

from scrapy_t8.core.page import Page
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.entry import Outcome
from scrapy_t8.model.items import Expectation, ExpectationChange
from scrapy_t8.utils.hashes import hash63
from scrapy_t8.utils.text import escape_surrogates

from .keys import key_bytes, shown

META = "t8_expect"
"""Key in the meta of a request: the item that the request is expected to bring."""
DEEPEST = 3
"""Maximum number of requests between an item and the request that announced it."""
HELD = 2000
"""Keys whose hash is kept in memory: those of requests that were admitted lately, and will be done soon."""
NO_ITEM, DISCARDED, DEAD = "no_item", "discarded", "dead"


def expecting(request: Request, key: str, source: str, *, by_page: bool) -> None:
    """Record in the meta of *request* that the request is expected to bring an item.

    :param key: the key of the item; with *by_page*, any text that names the item: then any item of the page counts.
    :param source: the source of the announcement.
    """
    request.meta[META] = {"key": key, "source": source, "by_page": by_page}


class Expectations:
    """The expected items of one run, and what became of them.

    :param codec: stores requests that brought nothing, so that they can be repeated on demand.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._changes: dict[int, ExpectationChange] = {}
        self._came: list[int] = []
        self._numbers: dict[str, int] = {}
        self._announced: dict[str, int] = {}
        self._by_url = False

    def expect_urls(self) -> None:
        """Take each page whose URL, in canonical form, is a key as one that is to bring an item."""
        self._by_url = True

    def of(self, request: Request) -> tuple[Expectation, ...]:
        """Return the items that *request* is expected to bring."""
        meta = request.meta
        given = meta.get(META)
        if given is not None:
            if isinstance(given, dict) and "key" in given:
                return (Expectation(str(given["key"]), bool(given.get("by_page")), int(given.get("depth", 0))),)
        elif self._by_url:
            url = meta.get("redirect_urls", [request.url])[0]
            return (Expectation(canonicalize_url(url), depth=DEEPEST, is_listed=False),)
        return ()

    # -- requests ------------------------------------------------------------------------------------------------

    def announce(self, announced: Iterable[tuple[str, str, int | None]]) -> None:
        """Announce items: source and key of each, or how many there are."""
        for source, key, total in announced:
            if total is not None:
                self._announced[escape_surrogates(source)] = total
            else:
                _name(self._change(key), source)

    def admitted(self, request: Request, *, live: bool = False) -> None:
        """Record that *request* has entered the frontier, or runs from memory (*live*)."""
        for expectation in self.of(request):
            self._announce(request, expectation).opened += not live

    def dropped(self, request: Request) -> None:
        """Announce again the items of *request*, which was seen before."""
        for expectation in self.of(request):
            self._announce(request, expectation)

    def pass_on(self, page: Page, request: Request) -> None:
        """Pass the expected items of *page* on to *request*, an output of the page."""
        if page.items.entered or META in request.meta:
            return
        for expectation in page.expectations:
            if expectation.by_page and expectation.depth < DEEPEST:
                depth = expectation.depth + 1
                request.meta[META] = {"key": expectation.text, "by_page": True, "depth": depth}

    def missed(self, key: str, cause: str, url: str) -> None:
        """Record that an item with this key was there, and is lost."""
        change = self._change(key, False)
        change.cause, change.url = cause, url or change.url

    # -- pages ---------------------------------------------------------------------------------------------------

    def settle(self, page: Page, has_item: Callable[[int], bool]) -> None:
        """Note which expected items *page* has brought, unless its work goes on in another attempt or entry.

        :param has_item: whether the job has exported an item whose key has this hash, as far as is known without a
            look-up.
        """
        if not page.goes_on:
            for expectation in page.expectations:
                self._settle(page, expectation, has_item)

    def _settle(self, page: Page, expectation: Expectation, has_item: Callable[[int], bool]) -> None:
        number = self._number(expectation.text)
        by_handler = page.was_waiting and page.outcome is Outcome.DONE
        came = bool(page.items.passed) and (expectation.by_page or has_item(number))
        came = came or (expectation.by_page and by_handler)
        if came and expectation.is_counted and page.letter is None and number not in self._changes:
            # The only request has brought the item: the common case.
            self._came.append(number)
            return
        # The item was announced when its request was admitted.
        change = self._change(expectation.text, False)
        change.collected = change.collected or came
        if page.letter is not None:
            change.cause, change.request = DEAD, page.letter.fingerprint
            return
        change.opened -= expectation.is_counted
        if not change.collected:
            discarded = f"{DISCARDED}\t{page.ending.cause}" if page.ending is not None else DISCARDED
            is_discarded = page.outcome is Outcome.DISCARDED
            change.cause = page.items.loss_cause or (discarded if is_discarded else NO_ITEM)
            if page.request is not None:
                # So that it can be repeated, should somebody want the item all the same.
                change.url, change.payload = page.request.url, None
                with suppress(CannotStore):
                    change.payload = self._codec.encode_request(page.request)

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
            number = self._numbers[key] = hash63(key_bytes(key))
        return number

    # -- commits -------------------------------------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """The number of changes that wait for the next commit."""
        return len(self._changes) + len(self._came)

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        batch.expected, self._changes = self._changes, {}
        batch.collected, self._came = self._came, []
        batch.announced, self._announced = self._announced, {}


def _name(change: ExpectationChange, source: str) -> None:
    """Record that *source* has announced the item, too."""
    source = escape_surrogates(source)
    if source not in change.sources:
        change.sources += (source,)
