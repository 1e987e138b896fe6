"""Scrapy's files and images pipelines, with files that come back.

An item goes on with the files that could be had; those that could not wait for another try, outside of the item and
without its page, and end in the dead-letter box if they cannot be had at all. Items that are to wait for all of their
files are the business of :class:`~scrapy_t8.spiders.MediaSpider`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy import Request
from scrapy.http.request import NO_CALLBACK
from scrapy.pipelines.files import FilesPipeline
from scrapy.pipelines.images import ImagesPipeline
from scrapy.utils.defer import ensure_awaitable
from twisted.python.failure import Failure as TwistedFailure

from scrapy_t8.core.job.job import Job
from scrapy_t8.core.retry.failure import MEDIA, Failure
from scrapy_t8.model.resume_point import IMAGE
from scrapy_t8.utils.text import one_line

if TYPE_CHECKING:
    _Base = FilesPipeline
else:
    _Base = object

logger = logging.getLogger(__name__)

TOTAL = "media_total"
"""The field of an item that says how many files it should have, if it has that field."""


class _ComesBack(_Base):
    """A media pipeline whose failed downloads become waiting entries of the type ``IMAGE_DOWNLOAD``."""

    def open_spider(self, spider: Any = None) -> None:
        super().open_spider()
        self._job = Job.of(self.crawler)
        if self._job is not None:
            self._job.retries.handlers.register(self._handler, self._fetch)

    @property
    def _handler(self) -> str:
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def item_completed(self, results: Any, item: Any, info: Any) -> Any:
        adapter = ItemAdapter(item)
        urls = [request.url for request in self.get_media_requests(item, info)]
        if self._job is not None and self._job.works:
            for url, (ok, value) in zip(urls, results, strict=True):
                if not ok:
                    self._come_back(url, value, item)
        if isinstance(item, dict) or TOTAL in adapter.field_names():
            adapter[TOTAL] = len(urls)
        return super().item_completed(results, item, info)

    def _come_back(self, url: str, failure: TwistedFailure, item: Any) -> None:
        metadata = {"item": item, "pipeline": self._handler}
        meta = {"t8_task_type": IMAGE, "t8_target": url, "t8_handler": self._handler, "t8_metadata": metadata}
        request = Request(url, callback=NO_CALLBACK, meta=meta, dont_filter=True)
        assert self._job is not None
        self._job.retries.enqueue_task(request, Failure(MEDIA, one_line(failure.value or "it could not be downloaded")))

    async def _fetch(self, target: str, metadata: dict[str, Any]) -> bool:
        """Another try, when it is due."""
        assert self.crawler.engine is not None
        request = Request(target, callback=NO_CALLBACK)
        item = metadata["item"]
        stored = await ensure_awaitable(self.media_to_download(request, self.spiderinfo, item=item))
        if stored is None:
            self._modify_media_request(request)
            response = await self.crawler.engine.download_async(request)
            await ensure_awaitable(self.media_downloaded(response, request, self.spiderinfo, item=item))
        return True


class T8FilesPipeline(_ComesBack, FilesPipeline):
    """:class:`scrapy.pipelines.files.FilesPipeline` whose files come back."""


class T8ImagesPipeline(_ComesBack, ImagesPipeline):
    """:class:`scrapy.pipelines.images.ImagesPipeline` whose images come back. Needs Pillow."""
