"""Scrapy's files and images pipelines, with retries that survive a kill.

An item goes on with the files that could be downloaded. Each other file waits for a retry, outside of the item and
without its page, and ends in the dead-letter box if no retry succeeds. A file that comes later is not in its item, so
the job is not complete unless the user accepts that. For items that are to wait for all their files there is
:class:`~scrapy_t8.spiders.MediaSpider`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy import Request
from scrapy.http.request import NO_CALLBACK
from scrapy.pipelines.files import FilesPipeline
from scrapy.pipelines.images import ImagesPipeline
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.misc import arg_to_iter
from twisted.python.failure import Failure as TwistedFailure

from scrapy_t8.config.causes import MEDIA as MEDIA_CAUSE
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.page import current_page
from scrapy_t8.core.retry.failure import MEDIA, Failure
from scrapy_t8.errors import CannotStore
from scrapy_t8.model.attempts import IMAGE
from scrapy_t8.model.entry import Ending
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import one_line

if TYPE_CHECKING:
    _Base = FilesPipeline
else:
    _Base = object

logger = get_logger(__name__)

TOTAL = "media_total"
"""The field of an item with the number of its files, if the item has that field."""


_asked: ContextVar[list[Request]] = ContextVar("_asked")
"""The requests for the files of the item that a pipeline works on, as they were before their download."""


class _RetriesFiles(_Base):
    """A media pipeline whose failed downloads become scheduled retries of the task type ``IMAGE_DOWNLOAD``.

    A retry is the request of ``get_media_requests``: with its headers and its meta, stored where ``file_path`` says.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scrapy_private.check()  # again: at the start of the crawl, Scrapy's media pipeline was not loaded
        self._job = Job.of(self.crawler)
        self._handler = f"{type(self).__module__}.{type(self).__qualname__}"
        if self._job is not None:
            self._job.retries.handlers.register(self._handler, self._fetch)
        # Subclasses override these methods, as Scrapy's documentation shows, and need not call those of their base.
        self.get_media_requests = self._noting_requests(self.get_media_requests)  # type: ignore[method-assign]
        self.item_completed = self._noting_results(self.item_completed)  # type: ignore[method-assign]

    def _noting_requests(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def get_media_requests(item: Any, info: Any) -> list[Request]:
            requests = list(arg_to_iter(make(item, info)))
            _asked.set([request.replace(callback=NO_CALLBACK, errback=None) for request in requests])
            return requests

        return get_media_requests

    def _noting_results(self, complete: Callable[..., Any]) -> Callable[..., Any]:
        def item_completed(results: Any, item: Any, info: Any) -> Any:
            if self._job is not None and self._job.works:
                for request, (ok, value) in zip(_asked.get(), results, strict=True):
                    if not ok:
                        self._retry(self._job, request, value, item)
            if isinstance(item, dict) or TOTAL in ItemAdapter(item).field_names():
                ItemAdapter(item)[TOTAL] = len(results)
            return complete(results, item, info)

        return item_completed

    def _retry(self, job: Job, request: Request, failure: TwistedFailure, item: Any) -> None:
        error = one_line(failure.value or "it could not be downloaded")
        own = {"item": item, "request": request, "pipeline": self._handler}
        meta = {"t8_task_type": IMAGE, "t8_target": request.url, "t8_handler": self._handler, "t8_metadata": own}
        try:
            retry = request.replace(meta={**request.meta, **meta}, dont_filter=True)
            job.retries.enqueue_task(retry, Failure(MEDIA, error))
        except CannotStore as reason:
            logger.error("%s (%s) cannot be retried: %s", request.url, error, reason)
            _doubt(request.url, f"{error}; it cannot be retried")

    async def _fetch(self, target: str, metadata: dict[str, Any]) -> bool:
        """Download and store a file again, when its retry is due."""
        assert self.crawler.engine is not None
        request, item = metadata["request"], metadata["item"]
        stored = await ensure_awaitable(self.media_to_download(request, self.spiderinfo, item=item))
        if stored is None:
            self._modify_media_request(request)
            response = await self.crawler.engine.download_async(request)
            await ensure_awaitable(self.media_downloaded(response, request, self.spiderinfo, item=item))
        _doubt(target, "the item was exported without this file")
        return True


def _doubt(url: str, note: str) -> None:
    """Note that an item has gone on without a file."""
    page = current_page()
    if page is not None:
        page.doubt(Ending(MEDIA_CAUSE, url, note=note))


class T8FilesPipeline(_RetriesFiles, FilesPipeline):
    """:class:`scrapy.pipelines.files.FilesPipeline` with retries that survive a kill."""


class T8ImagesPipeline(_RetriesFiles, ImagesPipeline):
    """:class:`scrapy.pipelines.images.ImagesPipeline` with retries that survive a kill. Needs Pillow."""
