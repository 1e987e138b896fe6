"""The files of an item: what the media pipeline requests, and what it has stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from itemadapter import ItemAdapter
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.misc import arg_to_iter, load_object

from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

RESULTS_OF = {"image_urls": "images", "file_urls": "files"}
"""Scrapy's default fields: that of the URLs, and that of the results."""
SCHEMES = ("http", "https", "ftp", "s3")
"""Schemes of URLs that are fetched, besides that of the page itself."""
SHOWN = 80


class ItemFiles:
    """The media pipeline of a spider, and the fields in which its items have their files.

    :param pipeline: the class of the pipeline, or its import path.
    :param urls_field: the field with the URLs; empty for the pipeline's, or Scrapy's default that an item has.
    :param results_field: the field for what is stored; empty for the one that belongs to the field with the URLs.
    """

    def __init__(self, crawler: Crawler, pipeline: Any, *, urls_field: str, results_field: str) -> None:
        self._stats = crawler.stats
        self._pipeline = load_object(pipeline).from_crawler(crawler)
        self._pipeline.open_spider()
        kind = "images" if hasattr(self._pipeline, "images_urls_field") else "files"
        self._urls_attribute = f"{kind}_urls_field"
        self._of_pipeline = getattr(self._pipeline, self._urls_attribute, "")
        self._results_of_pipeline = getattr(self._pipeline, f"{kind}_result_field", kind)
        self._urls_field = urls_field
        self._results_field = results_field
        self._has_skipped = False

    def requests(self, item: Any, response: Response) -> list[Request]:
        """Return the requests of the pipeline for the files of *item*, whose URLs become whole.

        :param response: the page of the item.
        """
        adapter = ItemAdapter(item)
        field = self._field_of(adapter)
        if field:
            given = list(arg_to_iter(adapter[field]))
            urls, skipped = file_urls(given, response)
            if skipped:
                self._note_skipped(skipped, field, response)
            if urls != adapter[field]:
                adapter[field] = urls
            setattr(self._pipeline, self._urls_attribute, field)
        requests = arg_to_iter(self._pipeline.get_media_requests(item, self._pipeline.spiderinfo))
        return [request.replace(callback=NO_CALLBACK, errback=None) for request in requests]

    async def stored(self, request: Request, item: Any) -> Any:
        """Return what the media store has recorded of the file of *request*, or None."""
        return await ensure_awaitable(self._pipeline.media_to_download(request, self._pipeline.spiderinfo, item=item))

    async def store(self, response: Response, request: Request, item: Any) -> Any:
        """Store the file that *response* has brought for *request*. Return what the pipeline says of the file."""
        info = self._pipeline.spiderinfo
        return await ensure_awaitable(self._pipeline.media_downloaded(response, request, info, item=item))

    def set_results(self, item: Any, results: list[Any]) -> None:
        """Put *results* into the field of *item* for them, if the item can have that field."""
        urls_field, of_pipeline = self._field_of(ItemAdapter(item)), self._results_of_pipeline
        of_field = of_pipeline if urls_field == self._of_pipeline else RESULTS_OF.get(urls_field, of_pipeline)
        set_field(item, self._results_field or of_field, results)

    def _field_of(self, adapter: ItemAdapter) -> str:
        """Return the field in which an item has URLs of files; empty if there is none."""
        fields = [self._urls_field] if self._urls_field else [self._of_pipeline, *RESULTS_OF]
        return next((field for field in fields if field in adapter), "")

    def _note_skipped(self, skipped: list[Any], field: str, response: Response) -> None:
        if self._stats is not None:
            self._stats.inc_value("t8/media/skipped", len(skipped))
        if not self._has_skipped:
            self._has_skipped = True
            logger.warning(
                "%s: %r of an item has entries that are no URLs of files, such as %s: they are left out. More of them "
                "are only counted (t8/media/skipped)",
                response.url,
                field,
                repr(skipped[0])[:SHOWN],
            )


def file_urls(given: Iterable[Any], response: Response) -> tuple[list[str], list[Any]]:
    """Return the URLs of files in *given*, whole and each once; and the entries that are no such URLs.

    :param response: the page, with which relative URLs are joined.
    """
    schemes = (*SCHEMES, urlsplit(response.url).scheme)
    found: dict[str, None] = {}
    skipped = []
    for entry in given:
        url = _joined(entry, response)
        if urlsplit(url).scheme in schemes:
            found[url] = None
        else:
            skipped.append(entry)
    return list(found), skipped


def _joined(entry: Any, response: Response) -> str:
    text = entry.strip() if isinstance(entry, str) else ""
    if not text or text.startswith("#"):
        return ""
    try:
        return response.urljoin(text)
    except ValueError:
        return ""


def set_field(item: Any, field: str, value: Any) -> None:
    """Set a field of *item*, if the item can have that field."""
    adapter = ItemAdapter(item)
    if isinstance(item, dict) or field in adapter.field_names():
        adapter[field] = value
