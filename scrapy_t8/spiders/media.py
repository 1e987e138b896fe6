"""A detail spider whose items wait for their files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from itemadapter import ItemAdapter
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import Response
from scrapy.pipelines.files import FilesPipeline
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.misc import load_object
from twisted.python.failure import Failure

from scrapy_t8.config.causes import MEDIA as MEDIA_CAUSE
from scrapy_t8.core.items.expectations import META as EXPECT
from scrapy_t8.core.page import current_page
from scrapy_t8.core.retry.failure import MEDIA, RetryPage
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.attempts import IMAGE
from scrapy_t8.model.entry import Ending
from scrapy_t8.utils.log.loggers import get_logger

from .base import outputs
from .detail import DetailSpider

logger = get_logger(__name__)

NEXT_TO_THE_ENGINE = 1


class T8StoredMedia:
    """Downloader middleware next to the engine: answers requests for files that are stored already."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8StoredMedia:
        if not isinstance(crawler.spider, MediaSpider):
            raise NotConfigured
        return cls(crawler.spider)

    def __init__(self, spider: MediaSpider) -> None:
        self._spider = spider

    async def process_request(self, request: Request) -> Response | None:
        if not request.meta.get("t8_media"):
            return None
        stored = await self._spider.t8_stored(request)
        if stored is None:
            request.meta.pop("t8_stored", None)
            return None
        request.meta["t8_stored"] = stored
        return Response(request.url, flags=["cached"])


class MediaSpider(DetailSpider):
    """A :class:`DetailSpider` whose items have images or other files, each of which is a request of its own.

    An item that :meth:`parse_detail` yields with URLs in ``media_urls_field`` goes to the pipelines when each of its
    files is stored or given up: ``media_results_field`` has the stored ones, ``media_total`` how many there should be.
    A file that fails is retried without its detail page; a file that is stored already is not fetched.

    Files are stored by Scrapy's pipeline, under its settings (FILES_STORE or IMAGES_STORE, S3 and GCS included).
    """

    media_pipeline: Any = FilesPipeline
    """Or :class:`scrapy.pipelines.images.ImagesPipeline`, or a subclass. It must not be in ITEM_PIPELINES as well."""
    media_urls_field = "image_urls"
    media_results_field = "images"
    media_total_field = "media_total"

    @classmethod
    def update_settings(cls, settings: BaseSettings) -> None:
        super().update_settings(settings)
        name = "DOWNLOADER_MIDDLEWARES"
        # With the priority of a spider's settings: Scrapy drops what has the priority of the defaults.
        priority = max(settings.getpriority(name) or 0, SETTINGS_PRIORITIES["spider"])
        settings.set(name, {T8StoredMedia: NEXT_TO_THE_ENGINE, **settings.getdict(name)}, priority)

    async def start(self) -> AsyncIterator[Any]:
        try:
            self._pipeline  # noqa: B018
        except NotConfigured as error:
            raise ConfigError(f"{self.name}: {error}") from None
        async for output in super().start():
            yield output

    def detail_callback(self) -> Any:
        return self.parse_media

    async def parse_media(self, response: Response, slug: str) -> AsyncIterator[Any]:
        """Yield what :meth:`parse_detail` yields, but for an item with files the request for its first file."""
        async for output in outputs(self.parse_detail(response, slug)):
            urls = [] if isinstance(output, Request) else self._urls(output)
            yield self._go_on(output, urls, [], response.request) if urls else output

    def _urls(self, item: Any) -> list[str]:
        adapter = ItemAdapter(item)
        urls = list(dict.fromkeys(adapter.get(self.media_urls_field) or ()))
        if urls:
            self._set(item, self.media_total_field, len(urls))
        return urls

    def _go_on(self, item: Any, urls: list[str], results: list[Any], before: Request | None) -> Any:
        """Return the item if all its files are settled, else the request for the next file."""
        if urls:
            state = {"item": item, "urls": urls, "results": results}
            meta = {"t8_task_type": IMAGE, "t8_target": urls[0], "t8_media": True}
            if before is not None and EXPECT in before.meta:
                meta[EXPECT] = before.meta[EXPECT]  # the page of any file may bring the expected item
            # Two items may have the same file, and each waits for it.
            return Request(
                urls[0], self._media_arrived, errback=self._media_failed, cb_kwargs=state, meta=meta, dont_filter=True
            )
        self._set(item, self.media_results_field, results)
        return item

    async def t8_stored(self, request: Request) -> Any:
        """Return the record of the media store for the file of *request*, or None."""
        item = request.cb_kwargs.get("item")
        return await ensure_awaitable(self._pipeline.media_to_download(request, self._pipeline.spiderinfo, item=item))

    async def _media_arrived(
        self, response: Response, item: Any, urls: list[str], results: list[Any]
    ) -> AsyncIterator[Any]:
        assert response.request is not None
        try:
            result = response.meta.get("t8_stored") or await ensure_awaitable(
                self._pipeline.media_downloaded(response, response.request, self._pipeline.spiderinfo, item=item)
            )
        except Exception as error:
            if response.meta.get("retry_times", 0) < self.t8.retries(MEDIA) or response.meta.get("t8_alone"):
                raise RetryPage(f"{urls[0]} is not a file: {error}", kind=MEDIA) from error
            logger.warning("%s is not a file (%s); its item goes on without it", urls[0], error)
            self._doubt(urls[0])
        else:
            results = [*results, result]
        if not response.meta.get("t8_alone"):
            yield self._go_on(item, urls[1:], results, response.request)

    async def _media_failed(self, failure: Failure) -> AsyncIterator[Any]:
        """Let the item go on without a file that is given up. The dead letter is that of the file alone."""
        request: Request = failure.request  # type: ignore[attr-defined]
        if request.meta.get("t8_alone"):
            return
        item, urls, results = (request.cb_kwargs[key] for key in ("item", "urls", "results"))
        logger.warning("%s is given up; its item goes on without it", urls[0])
        request.meta["t8_alone"] = True
        self._doubt(urls[0])
        yield self._go_on(item, urls[1:], results, request)

    def _doubt(self, url: str) -> None:
        """Record that an item goes on without a file. If the file comes later, the item in the feed still lacks it."""
        page = current_page()
        if page is not None:
            page.doubt(Ending(MEDIA_CAUSE, url, note="the item is exported without this file"))

    def _set(self, item: Any, field: str, value: Any) -> None:
        adapter = ItemAdapter(item)
        if isinstance(item, dict) or field in adapter.field_names():
            adapter[field] = value

    @cached_property
    def _pipeline(self) -> Any:
        pipeline = load_object(self.media_pipeline).from_crawler(self.crawler)
        pipeline.open_spider()
        return pipeline
