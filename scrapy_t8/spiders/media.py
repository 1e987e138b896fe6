"""A detail spider whose items wait for their pictures."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from itemadapter import ItemAdapter
from scrapy import Request
from scrapy.http import Response
from scrapy.pipelines.files import FilesPipeline
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.misc import load_object
from twisted.python.failure import Failure

from ..failure import MEDIA, RetryPage
from ..resume import IMAGE
from .base import outputs
from .detail import DetailSpider

logger = logging.getLogger("T8ResumeAndRetry")


class MediaSpider(DetailSpider):
    """A :class:`DetailSpider` whose items have pictures, or other files, each fetched as work of its own.

    An item that :meth:`parse_detail` yields with URLs in ``media_urls_field`` goes to the pipelines when the last of
    its files is there, or given up: ``media_results_field`` has what there is, ``media_total`` how many there should
    be. A file that fails is tried again without its detail page; one that is stored already is not fetched.

    Files are stored by Scrapy's pipeline, under its settings (FILES_STORE or IMAGES_STORE, S3 and GCS included).
    """

    media_pipeline: Any = FilesPipeline
    """Or :class:`scrapy.pipelines.images.ImagesPipeline`, or a subclass. Not to be in ITEM_PIPELINES as well."""
    media_urls_field = "image_urls"
    media_results_field = "images"
    media_total_field = "media_total"

    def parse_media(self, response: Response, slug: str) -> AsyncIterator[Any]:
        """The callback: what :meth:`parse_detail` yields, its items by way of their files."""
        return self._parse_media(response, slug)

    def detail_callback(self) -> Any:
        return self.parse_media

    async def _parse_media(self, response: Response, slug: str) -> AsyncIterator[Any]:
        async for output in outputs(self.parse_detail(response, slug)):
            urls = [] if isinstance(output, Request) else self._urls(output)
            yield await self._go_on(output, urls, []) if urls else output

    def _urls(self, item: Any) -> list[str]:
        adapter = ItemAdapter(item)
        urls = list(dict.fromkeys(adapter.get(self.media_urls_field) or ()))
        if urls:
            self._set(item, self.media_total_field, len(urls))
        return urls

    async def _go_on(self, item: Any, urls: list[str], results: list[Any]) -> Any:
        """The item if all its files are settled, else the request for the next one that is not stored."""
        for number, url in enumerate(urls):
            request = self._media_request(url)
            stored = await ensure_awaitable(self._pipeline.media_to_download(request, self._info, item=item))
            if stored is None:
                state = {"item": item, "urls": urls[number:], "results": results}
                return request.replace(cb_kwargs=state, callback=self._media_arrived, errback=self._media_failed)
            results = [*results, stored]
        self._set(item, self.media_results_field, results)
        return item

    async def _media_arrived(
        self, response: Response, item: Any, urls: list[str], results: list[Any]
    ) -> AsyncIterator[Any]:
        assert response.request is not None
        try:
            result = await ensure_awaitable(
                self._pipeline.media_downloaded(response, response.request, self._info, item=item)
            )
        except Exception as error:
            if response.meta.get("retry_times", 0) < self.t8.retries(MEDIA) or response.meta.get("t8_alone"):
                raise RetryPage(f"{urls[0]} is no file: {error}", kind=MEDIA) from error
            logger.warning("%s is no file: %s; its item goes on without it", urls[0], error)
        else:
            results = [*results, result]
        if not response.meta.get("t8_alone"):
            yield await self._go_on(item, urls[1:], results)

    async def _media_failed(self, failure: Failure) -> AsyncIterator[Any]:
        """A file is given up: the item goes on without it. Its dead letter stands for the file alone."""
        request: Request = failure.request  # type: ignore[attr-defined]
        if request.meta.get("t8_alone"):
            return
        item, urls, results = (request.cb_kwargs[key] for key in ("item", "urls", "results"))
        logger.warning("%s is given up; its item goes on without it", urls[0])
        request.meta["t8_alone"] = True
        yield await self._go_on(item, urls[1:], results)

    def _media_request(self, url: str) -> Request:
        meta = {"t8_task_type": IMAGE, "t8_target": url}
        # Two items may have the same file: each waits for it.
        return Request(url, meta=meta, dont_filter=True)

    def _set(self, item: Any, field: str, value: Any) -> None:
        adapter = ItemAdapter(item)
        if isinstance(item, dict) or field in adapter.field_names():
            adapter[field] = value

    @cached_property
    def _pipeline(self) -> Any:
        pipeline = load_object(self.media_pipeline).from_crawler(self.crawler)
        pipeline.open_spider()
        return pipeline

    @property
    def _info(self) -> Any:
        return self._pipeline.spiderinfo
