"""Items that leave the pipelines: recorded with their page, and passed to the feeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from traceback import walk_tb
from types import TracebackType
from typing import Any

from itemadapter import ItemAdapter
from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.exceptions import DropItem
from twisted.python.failure import Failure

from scrapy_t8.config.causes import ITEM, UNKNOWN
from scrapy_t8.core.page import ITEMS, Page, current_page
from scrapy_t8.core.run import RunContext, RunControl
from scrapy_t8.model.entry import Ending
from scrapy_t8.model.items import ItemOutcome
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import escape_surrogates, one_line
from scrapy_t8.utils.threads import is_of_code

from .checks import ItemChecks
from .ledger import DROPPED, DUPLICATE, EXPORTED, FAILED, ItemLedger, cause_of

logger = get_logger(__name__)

REASON = 200
"""Characters of a reason that are kept."""
VALIDATION = "T8ValidationPipeline"
"""The pipeline that refuses invalid items, as losses name it: :func:`culprit` gives the name of its class."""


class Duplicate(DropItem):
    """The item was dropped, because an item with the same key was exported before."""


class InvalidItem(DropItem):
    """The item was dropped, because it is invalid.

    :param problems: rule, class, field and message of each problem.
    """

    def __init__(self, message: str, problems: list[list[str]]) -> None:
        super().__init__(message)
        self.problems = problems


class ItemTracker:
    """Follows every item of a crawl from the pipelines to its page and to the feeds.

    :param ledger: decides on the outcome of an item.
    :param checks: the conditions that an item must meet.
    """

    def __init__(self, context: RunContext, control: RunControl, ledger: ItemLedger, *, checks: ItemChecks) -> None:
        config, connect = context.config, context.crawler.signals.connect
        self.ledger = ledger
        self.checks = checks
        self.keeps_ledger = config.enable_integrity_check or config.dedup != "off"
        """Whether the outcome of each item is recorded."""
        self._control = control
        self._directory = context.state_directory
        # An item whose outcome cannot be recorded must stop the crawl, not vanish.
        self._guard = control.guard("write down an item")
        self._listeners: list[Callable[[Any], str]] = []
        self._find_problems: Callable[[Any], list[list[str]]] | None = None
        self._counts_entries = False
        connect(self.item_scraped, signals.item_scraped)
        connect(self.item_dropped, signals.item_dropped)
        connect(self.item_error, signals.item_error)

    def on_scraped(self, listener: Callable[[Any], str]) -> None:
        """Call *listener* with each item that is scraped. What the listener stages in the call belongs to the item.

        The listener returns why no feed exports the item, or nothing.
        """
        self._listeners.append(listener)

    def note_problems(self, find: Callable[[Any], list[list[str]]]) -> None:
        """Record the problems that *find* returns for a scraped item: rule, class, field and message of each."""
        self._find_problems = find

    def count_entries(self) -> None:
        """Let a pipeline count the items that enter. Without this, an item counts as entered when it leaves."""
        self._counts_entries = True

    def item_scraped(self, item: Any, response: Any = None) -> None:
        if self._control.works:
            self._leave(EXPORTED, item, response=response)

    def item_dropped(self, item: Any, response: Any, exception: BaseException) -> None:
        if self._control.works:
            outcome = DUPLICATE if isinstance(exception, Duplicate) else DROPPED
            self._leave(outcome, item, exception, response)

    def item_error(self, item: Any, response: Any, failure: Failure) -> None:
        if self._control.works:
            self._leave(FAILED, item, failure.value, response)

    def _leave(self, outcome: int, item: Any, error: BaseException | None = None, response: Any = None) -> None:
        page, is_orphan = current_page(), False
        if page is None:
            page, is_orphan = Page(None), True
            page.enter()
        if outcome == FAILED and error is not None and (is_orphan or page.start_item_fingerprint is not None):
            # The item belongs to no request, so no request can be given up for it.
            cause = f"{ITEM}:{pipeline_of_traceback(error.__traceback__) or UNKNOWN}"
            page.doubt(Ending(cause, note=loss_reason(error, outcome)))
        items = page.own_items()
        if is_orphan or not self._counts_entries:
            items.entered += 1
        items.leave()
        refused, is_item = "", True
        if outcome == EXPORTED:
            is_item = ItemAdapter.is_item(item)
            for listener in self._listeners if is_item else ():
                refused = listener(item) or refused
        if self.keeps_ledger:
            with self._guard:
                if not is_item:
                    self._lose_what_is_no_item(page, item)
                elif refused:
                    self._lose(page, FAILED, item, (*refused.partition(": ")[::2], url_of(response)))
                else:
                    self._note(page, outcome, item, error, response)
        else:
            items.entered = 0  # there is no ledger
            if outcome == EXPORTED:
                items.passed += 1
        items.current = 0
        if is_orphan:
            self._control.end(page)

    def end_unfinished(self, page: Page, url: str) -> int:
        """Let all items of *page* that are still in the pipelines fail. Return their number."""
        items, loss = page.own_items(), (UNKNOWN, "the pipelines have ended without an outcome", escape_surrogates(url))
        lost = items.entered - items.left
        for _ in range(lost):
            items.leave()
            if self.keeps_ledger:
                items.add_outcome(ItemOutcome(items.current, FAILED, loss=loss), self._directory)
        items.lose(cause_of(FAILED, *loss[:2]))
        items.current = 0
        return lost

    def _lose_what_is_no_item(self, page: Page, item: Any) -> None:
        """Let an item fail in whose place a pipeline has returned something else, as None."""
        reason = f"a pipeline has returned {type(item).__name__}, which is no item: process_item must return the item"
        page.doubt(Ending(f"{ITEM}:{UNKNOWN}", note=reason))
        lost = ItemOutcome(page.items.current, FAILED, loss=(UNKNOWN, reason, ""))
        page.own_items().add_outcome(lost, self._directory)

    def _note(self, page: Page, outcome: int, item: Any, error: BaseException | None, response: Any) -> None:
        problems = getattr(error, "problems", [])
        if outcome in (DROPPED, FAILED) and error is not None:
            pipeline, reason = pipeline_of_traceback(error.__traceback__), loss_reason(error, outcome)
            self._lose(page, outcome, item, (pipeline, reason, url_of(response)), problems)
            return
        if self._find_problems is not None and outcome == EXPORTED:
            problems = self._find_problems(item)
        noted = self.ledger.outcome_of(outcome, item, page, None, problems)
        is_told_by_key = self.ledger.drops_by_key and noted.key is not None and noted.key.text is not None
        if page.history is not None and outcome == EXPORTED and not is_told_by_key:
            page.note_keyless(url_of(response))
        page.own_items().passed += 1
        self._add(page, noted)

    def _lose(
        self, page: Page, outcome: int, item: Any, loss: tuple[str, str, str], problems: Sequence[list[str]] = ()
    ) -> None:
        page.own_items().lose(cause_of(outcome, *loss[:2]))
        self._add(page, self.ledger.outcome_of(outcome, item, page, loss, list(problems)))

    def _add(self, page: Page, noted: ItemOutcome) -> None:
        items = page.own_items()
        if page.history is not None and page.was_delivered(ITEMS, self.ledger.identity(noted)):
            items.entered -= 1  # an earlier attempt has brought the item into the ledger
        else:
            items.add_outcome(noted, self._directory)


def end_cancelled_items(crawler: Crawler) -> None:
    """Let the processing of an item end if a pipeline raises an exception that is no Exception.

    Scrapy processes items with CONCURRENT_ITEMS tasks for each page. Each such exception ends one of these tasks, and
    the last one leaves the page hanging. The item has no outcome: :meth:`ItemTracker.end_unfinished` counts it.
    """
    assert crawler.engine is not None
    scraper: Any = crawler.engine.scraper
    process = scraper.start_itemproc_async

    async def process_to_its_end(item: Any, **kwargs: Any) -> None:
        try:
            await process(item, **kwargs)
        except BaseException as error:
            if not is_of_code(error):
                raise
            where = pipeline_of_traceback(error.__traceback__) or "An item pipeline"
            logger.error("%s has ended with %s", where, one_line(repr(error)), exc_info=error)

    scraper.start_itemproc_async = process_to_its_end


def url_of(response: Any) -> str:
    """Return the URL of the response of an item; empty if there is none."""
    return escape_surrogates(getattr(response, "url", None) or "")


def pipeline_of_traceback(trace: TracebackType | None, method: str = "process_item") -> str:
    """Return the class of the pipeline whose *method* has raised an exception, by the traceback."""
    found = ""
    for frame, _ in walk_tb(trace):
        if frame.f_code.co_name == method and "self" in frame.f_locals:
            found = type(frame.f_locals["self"]).__qualname__
    return found


def loss_reason(error: BaseException, outcome: int) -> str:
    """Return in one line why a pipeline has lost an item."""
    text = escape_surrogates(one_line(error, REASON))
    if outcome == DROPPED:
        return text or type(error).__name__
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__, REASON)
