"""A detail spider whose items wait for their files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import Response
from scrapy.pipelines.files import FilesPipeline
from scrapy.settings import SETTINGS_PRIORITIES, BaseSettings
from twisted.python.failure import Failure

from scrapy_t8.config.causes import MEDIA as MEDIA_CAUSE
from scrapy_t8.core.items.expectations import META as EXPECT
from scrapy_t8.core.page import current_page, current_request
from scrapy_t8.core.retry.failure import MEDIA, RetryPage
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.attempts import IMAGE
from scrapy_t8.model.entry import Ending
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import install

from .base import outputs
from .detail import DetailSpider
from .media_files import ItemFiles, set_field

logger = get_logger(__name__)

NEXT_TO_THE_ENGINE = 1
EXPORT, HOLD = "export", "hold"
ALONE = "t8_alone"
"""Key in the meta of a request for a file without which its item has gone on."""


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

    An item with URLs of files that :meth:`parse_detail` yields goes to the pipelines when each file is stored or
    given up: the field for results has the stored ones, ``media_total_field`` how many there should be. A file that
    fails is retried without its detail page; a file that is stored already is not fetched.

    Scrapy's pipeline requests, names and stores the files, under its settings (FILES_STORE or IMAGES_STORE, S3 and
    GCS included).
    """

    media_pipeline: Any = FilesPipeline
    """Or :class:`scrapy.pipelines.images.ImagesPipeline`, or a subclass. It must not be in ITEM_PIPELINES as well."""
    media_urls_field = ""
    """Empty for the field of the pipeline (FILES_URLS_FIELD, IMAGES_URLS_FIELD), or that of ``image_urls`` and
    ``file_urls`` which an item has."""
    media_results_field = ""
    """Empty for the field that belongs to the one with the URLs (FILES_RESULT_FIELD; ``images`` for ``image_urls``)."""
    media_total_field = "media_total"
    media_incomplete = EXPORT
    """What becomes of an item one of whose files is given up: ``export`` it without the file, or ``hold`` it until the
    dead letter of the file is revived."""

    @classmethod
    def update_settings(cls, settings: BaseSettings) -> None:
        super().update_settings(settings)
        name = "DOWNLOADER_MIDDLEWARES"
        # With the priority of a spider's settings: Scrapy drops what has the priority of the defaults.
        priority = max(settings.getpriority(name) or 0, SETTINGS_PRIORITIES["spider"])
        settings.set(name, {T8StoredMedia: NEXT_TO_THE_ENGINE, **settings.getdict(name)}, priority)

    async def start(self) -> AsyncIterator[Any]:
        if self.media_incomplete not in (EXPORT, HOLD):
            raise ConfigError(
                f"{self.name}: media_incomplete is {self.media_incomplete!r}, but must be {EXPORT!r} or {HOLD!r}"
            )
        try:
            self._files  # noqa: B018
        except NotConfigured as error:
            way = f": {install('images')}" if "Pillow" in str(error) else ""
            raise ConfigError(f"{self.name}: {error}{way}") from None
        async for output in super().start():
            yield output

    def detail_callback(self) -> Any:
        return self.parse_media

    async def parse_media(self, response: Response, slug: str) -> AsyncIterator[Any]:
        """Yield what :meth:`parse_detail` yields, but for an item with files the request for its first file."""
        async for output in outputs(self.parse_detail(response, slug)):
            files = [] if isinstance(output, Request) else self._files.requests(output, response)
            if files:
                set_field(output, self.media_total_field, len(files))
                yield self._go_on(output, files, 0, [], response.request)
            else:
                yield output

    def _go_on(self, item: Any, files: list[Request], number: int, results: list[Any], before: Request | None) -> Any:
        """Return the item if all its files are settled, else the request for the file with a *number*.

        A page that is replayed has to yield what it yielded before: only the results depend on what is stored by now.
        """
        if number < len(files):
            file = files[number]
            state = {"item": item, "files": files, "number": number, "results": results}
            own = {"t8_task_type": IMAGE, "t8_target": file.url, "t8_media": True}
            meta = {**file.meta, **own}
            if before is not None and EXPECT in before.meta:
                meta[EXPECT] = before.meta[EXPECT]  # the page of any file may bring the expected item
            # Two items may have the same file, and each waits for it.
            return file.replace(
                callback=self._media_arrived, errback=self._media_failed, cb_kwargs=state, meta=meta, dont_filter=True
            )
        self._files.set_results(item, results)
        return item

    async def t8_stored(self, request: Request) -> Any:
        """Return the record of the media store for the file of *request*, or None."""
        state = request.cb_kwargs
        return await self._files.stored(state["files"][state["number"]], state["item"])

    async def _media_arrived(
        self, response: Response, item: Any, files: list[Request], number: int, results: list[Any]
    ) -> AsyncIterator[Any]:
        request = current_request() or response.request
        assert request is not None
        try:
            result = request.meta.get("t8_stored") or await self._files.store(response, files[number], item)
        except Exception as error:
            reason = f"{files[number].url} is not a file: {error}"
            is_last = request.meta.get("retry_times", 0) >= self.t8.retries(MEDIA, request)
            if not is_last or self._waits_for_file(request, MEDIA):
                raise RetryPage(reason, kind=MEDIA) from error
            self.t8.give_up(reason, MEDIA, response.status)
            self._go_alone(request)
            yield self._go_on(item, files, number + 1, results, request)
            return
        if not request.meta.get(ALONE):
            yield self._go_on(item, files, number + 1, [*results, result], request)
        elif self.t8.exports_again(item):
            self._files.set_results(item, await self._all_stored(item, files, number, result))
            yield item
        else:
            self._doubt(files[number].url)

    async def _media_failed(self, failure: Failure) -> AsyncIterator[Any]:
        """Let the item go on without a file that is given up. The dead letter stands for the file alone."""
        request: Request = current_request() or failure.request  # type: ignore[attr-defined]
        if self._waits_for_file(request):
            return
        self._go_alone(request)
        state = request.cb_kwargs
        yield self._go_on(state["item"], state["files"], state["number"] + 1, state["results"], request)

    def _waits_for_file(self, request: Request, kind: str | None = None) -> bool:
        """Whether nothing goes on without the file of *request*: its item has gone on before, or is held.

        An item is held only by a dead letter, which brings it back: not by a robots.txt, or a cause that is accepted.

        :param kind: that of the failure, if it was not noted yet.
        """
        if request.meta.get(ALONE):
            return True
        return self.media_incomplete == HOLD and self.t8.buries(request, kind)

    def _go_alone(self, request: Request) -> None:
        """Let *request*, whose file is given up, stand for the file alone."""
        logger.warning("%s is given up; its item goes on without it", request.meta["t8_target"])
        request.meta[ALONE] = True

    async def _all_stored(self, item: Any, files: list[Request], number: int, result: Any) -> list[Any]:
        """Return what is stored of the files of *item*. The file with a *number* has come last, with *result*."""
        stored = [result if at == number else await self._files.stored(file, item) for at, file in enumerate(files)]
        return [known for known in stored if known is not None]

    def _doubt(self, url: str) -> None:
        """Note that a file has come later than its item, which the feed has without the file."""
        page = current_page()
        if page is not None:
            logger.warning("%s has come, but its item was exported without it", url)
            page.doubt(Ending(MEDIA_CAUSE, url, note="the item was exported without this file"))

    @cached_property
    def _files(self) -> ItemFiles:
        fields = {"urls_field": self.media_urls_field, "results_field": self.media_results_field}
        return ItemFiles(self.crawler, self.media_pipeline, **fields)
