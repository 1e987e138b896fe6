"""The extension that announces the items that settings name, and sends the requests of ``heal``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from pathlib import Path

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http.request import NO_CALLBACK
from w3lib.url import canonicalize_url

from scrapy_t8.core.items.expectations import expecting
from scrapy_t8.core.job.job import Job
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.items import RefetchStatus
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.log.tracebacks import in_one_line
from scrapy_t8.utils.text import counted, escape_surrogates, lines_of

from .sitemaps import read_sitemap

logger = get_logger(__name__)

AT_A_TIME = 1000
"""Keys that are announced before the event loop gets its turn."""
NESTED = 3
"""How deep sitemaps that list sitemaps are followed."""


class T8Expectations:
    """Reads T8_EXPECT_FILE and T8_EXPECT_SITEMAPS, each once in a job. The crawl begins when they are read.

    :raises ConfigError: from ``from_crawler``, for a file that does not exist.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> T8Expectations:
        job = Job.required(crawler)
        config = job.config
        if not (config.expect_file or config.expect_sitemaps or job.store.items.items_to_request()):
            raise NotConfigured
        with in_one_line(logger):
            return cls(crawler, job, file=config.expect_file, sitemaps=list(map(str, config.expect_sitemaps)))

    def __init__(self, crawler: Crawler, job: Job, *, file: str, sitemaps: list[str]) -> None:
        for setting, path in (("T8_EXPECT_FILE", file), *(("T8_EXPECT_SITEMAPS", path) for path in sitemaps)):
            if path and not _is_url(path) and not Path(path).is_file():
                raise ConfigError(f"{setting} names {path!r}, and there is no such file")
        self._crawler = crawler
        self._job = job
        self._file = file
        self._sitemaps = sitemaps
        self._read: dict[str, bytes] = {}
        if sitemaps:
            job.expectations.expect_urls()
        job.persist(self)
        crawler.signals.connect(self.spider_opened, signals.spider_opened)

    async def spider_opened(self) -> None:
        """Announce what no earlier run has announced. Scrapy sends no request before this has ended."""
        if not self._job.works:
            return
        self._refetch()
        if self._file and not self._was_read(self._file):
            await self._announce(self._file, _lines(Path(self._file)), "file")
        for sitemap in self._sitemaps:
            if not self._was_read(sitemap):
                try:
                    urls = [url async for url in self._urls(sitemap)]
                except Exception as error:
                    logger.error("The sitemap %s cannot be read, so nothing is expected of it: %s", sitemap, error)
                    continue
                await self._announce(sitemap, map(canonicalize_url, urls), "sitemap")

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        read, self._read = self._read, {}
        return read

    def _was_read(self, path: str) -> bool:
        return bool(self._job.store.kept(f"expect:{path}"))

    async def _announce(self, path: str, keys: Iterator[str], source: str) -> None:
        count = 0
        while batch := list(islice(keys, AT_A_TIME)):
            self._job.expect([(source, key, None) for key in batch])
            count += len(batch)
            await asyncio.sleep(0)
        # Durable in one commit with the last of the keys, or after it.
        self._read[f"expect:{path}"] = b"read"
        self._job.changed()
        logger.info("%s expected by %s", counted(count, "item is", "items are"), path)

    def _refetch(self) -> None:
        """Crawl the requests for missing items that only the spider can make."""
        engine, items = self._crawler.engine, self._job.store.items
        assert engine is not None
        make = getattr(self._crawler.spider, "t8_request_for", lambda key: None)
        numbers: dict[RefetchStatus, list[int]] = {RefetchStatus.REQUESTED: [], RefetchStatus.IMPOSSIBLE: []}
        for key, number in items.items_to_request().items():
            request = make(key)
            if isinstance(request, Request):
                numbers[RefetchStatus.REQUESTED].append(number)
                expecting(request, key, "", by_page=True)
                engine.crawl(request.replace(dont_filter=True))
            else:
                numbers[RefetchStatus.IMPOSSIBLE].append(number)
        for status in numbers:
            items.set_refetch_status(numbers[status], status)
        if numbers[RefetchStatus.IMPOSSIBLE]:
            message = "%d missing items cannot be requested: the spider has no t8_request_for(key), or it returns none"
            logger.warning(message, len(numbers[RefetchStatus.IMPOSSIBLE]))

    # -- sitemaps ------------------------------------------------------------------------------------------------

    async def _urls(self, sitemap: str, depth: int = 0) -> AsyncIterator[str]:
        """Yield the URLs of pages in a sitemap, in the sitemaps that an index lists, or in those of a robots.txt."""
        body, name = await self._body(sitemap)
        content = read_sitemap(body, name)
        for url in content.pages:
            yield url
        for inner in content.sitemaps if depth < NESTED else ():
            async for url in self._urls(inner, depth + 1):
                yield url

    async def _body(self, sitemap: str) -> tuple[bytes, str]:
        """Return the content of a sitemap, and where it was found."""
        if not _is_url(sitemap):
            return Path(sitemap).read_bytes(), sitemap
        assert self._crawler.engine is not None
        response = await self._crawler.engine.download_async(Request(sitemap, callback=NO_CALLBACK))
        if response.status != 200:
            raise ValueError(f"the answer is {response.status}")
        return response.body, response.url


def _is_url(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def _lines(path: Path) -> Iterator[str]:
    return (escape_surrogates(line) for line, _ in lines_of(path) if line)
