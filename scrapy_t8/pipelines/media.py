"""Scrapy's files and images pipelines, with retries that survive a kill.

An item goes on with the files that could be downloaded. Each other file waits for a retry, outside of the item and
without its page, and ends in the dead-letter box if no retry succeeds. For items that are to wait for all their files
there is :class:`~scrapy_t8.spiders.MediaSpider`.
"""

from __future__ import annotations

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
from scrapy_t8.model.attempts import IMAGE
from scrapy_t8.utils.text import one_line

if TYPE_CHECKING:
    _Base = FilesPipeline
else:
    _Base = object

TOTAL = "media_total"
"""The field of an item with the number of its files, if the item has that field."""


class _RetriesFiles(_Base):
    """A media pipeline whose failed downloads become scheduled retries of the task type ``IMAGE_DOWNLOAD``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._job = Job.of(self.crawler)
        self._handler = f"{type(self).__module__}.{type(self).__qualname__}"
        if self._job is not None:
            self._job.retries.handlers.register(self._handler, self._fetch)

    def item_completed(self, results: Any, item: Any, info: Any) -> Any:
        adapter = ItemAdapter(item)
        urls = [request.url for request in self.get_media_requests(item, info)]
        if self._job is not None and self._job.works:
            for url, (ok, value) in zip(urls, results, strict=True):
                if not ok:
                    self._job.retries.enqueue_task(*self._retry_of(url, value, item))
        if isinstance(item, dict) or TOTAL in adapter.field_names():
            adapter[TOTAL] = len(urls)
        return super().item_completed(results, item, info)

    def _retry_of(self, url: str, failure: TwistedFailure, item: Any) -> tuple[Request, Failure]:
        metadata = {"item": item, "pipeline": self._handler}
        meta = {"t8_task_type": IMAGE, "t8_target": url, "t8_handler": self._handler, "t8_metadata": metadata}
        request = Request(url, callback=NO_CALLBACK, meta=meta, dont_filter=True)
        return request, Failure(MEDIA, one_line(failure.value or "it could not be downloaded"))

    async def _fetch(self, target: str, metadata: dict[str, Any]) -> bool:
        """Download and store a file again, when its retry is due."""
        assert self.crawler.engine is not None
        request = Request(target, callback=NO_CALLBACK)
        item = metadata["item"]
        stored = await ensure_awaitable(self.media_to_download(request, self.spiderinfo, item=item))
        if stored is None:
            self._modify_media_request(request)
            response = await self.crawler.engine.download_async(request)
            await ensure_awaitable(self.media_downloaded(response, request, self.spiderinfo, item=item))
        return True


class T8FilesPipeline(_RetriesFiles, FilesPipeline):
    """:class:`scrapy.pipelines.files.FilesPipeline` with retries that survive a kill."""


class T8ImagesPipeline(_RetriesFiles, ImagesPipeline):
    """:class:`scrapy.pipelines.images.ImagesPipeline` with retries that survive a kill. Needs Pillow."""
