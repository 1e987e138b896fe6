"""A spider that fetches one page for each slug of a list."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from scrapy import Request, Spider
from scrapy.http import Response

from scrapy_t8.core.items.expectations import META as EXPECT
from scrapy_t8.core.watermark import Value
from scrapy_t8.errors import ConfigError
from scrapy_t8.model.attempts import DETAIL
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import encoding_of_file, escape_surrogates, lines_of

from .base import T8SpiderMixin
from .urls import url_of_slug

logger = get_logger(__name__)

LONGEST = 4096
"""Bytes that a slug may have, to be recognised in its file."""


class Slug(NamedTuple):
    """A slug, its position in the list, and the offset in bytes at which its line ends in the file."""

    text: str
    position: int
    end: int | None = None


class DetailSpider(T8SpiderMixin, Spider):
    """Fetches slugs in order, each exactly once, from where the last run of the job was.

    After a finished job the next one goes on behind the last slug, so that it fetches slugs that were added meanwhile;
    ``-s T8_RESUME=fresh`` begins anew. The resume point (``DETAIL_COLLECTION``) says up to which slug all is done.

    Define ``detail_url`` or :meth:`detail_request`; ``slugs``, ``slug_file`` or :meth:`iter_slugs`; and
    :meth:`parse_detail`.
    """

    detail_url = ""
    """As in ``"https://example.com/cars/{slug}"``. What is no part of a path in a slug (``#``, ``?``) is quoted."""
    slugs: Iterable[Any] = ()
    slug_file: str | Path | None = None
    """One slug a line, read as the crawl goes, in UTF-8, or in UTF-16 with its mark. Empty lines are skipped."""
    point_name = ""
    """The name of the resume point, for a spider that has several."""
    _has_misread = False

    def parse_detail(self, response: Response, slug: str) -> Any:
        """Return or yield the items and requests of a detail page."""
        raise NotImplementedError(f"{type(self).__name__}.parse_detail is not defined")

    def detail_request(self, slug: str) -> Request:
        """Return the request for a slug. Without a callback, it gets :meth:`parse_detail`."""
        return Request(url_of_slug(self.detail_url, slug))

    def iter_slugs(self, after: str | None) -> Iterable[Any]:
        """Return the slugs *after* one, or all, in an order that stays. Overrides ``slugs`` and ``slug_file``."""
        raise NotImplementedError

    def t8_request_for(self, key: str) -> Request:
        """Return the request for a slug whose item is missing: see :func:`scrapy_t8.heal`."""
        request = self.detail_request(key)
        if request.callback is None:
            request = request.replace(callback=self.detail_callback(), cb_kwargs={**request.cb_kwargs, "slug": key})
        return request

    def detail_callback(self) -> Any:
        """Return what is called with the response and the slug."""
        return self.parse_detail

    async def start(self) -> AsyncIterator[Any]:
        if self.slug_file is not None and not Path(self.slug_file).is_file():
            raise ConfigError(f"{self.name}: slug_file is {str(self.slug_file)!r}, and there is no such file")
        before, value = self.t8.handed_over(DETAIL, self.point_name)
        found = False
        async for request in self.lazily(self._requests(before, value)):
            found = True
            yield request
        if not found and before:
            logger.info("All slugs (%d) are done or in the frontier. -s T8_RESUME=fresh begins anew", before)
        elif not found:
            logger.warning("The spider has no slugs: nothing to do")

    def _requests(self, before: int, value: Value) -> Iterator[Request]:
        for slug in self._slugs(before, value):
            if not self.t8.track(DETAIL, self.point_name).is_settled(slug.position):
                yield self._request(slug)

    def _request(self, slug: Slug) -> Request:
        request = self.t8_request_for(slug.text)
        request.meta.setdefault("t8_task_type", DETAIL)
        request.meta.setdefault("t8_target", slug.text)
        if EXPECT not in request.meta:
            self.t8.expect_page(request, slug.text, self.point_name or "slugs")
        value: dict[str, Any] = {"slug": slug.text}
        if slug.end is not None:
            value["end"] = slug.end
        return self.t8.at(request, DETAIL, self.point_name, position=slug.position, **value)

    def _slugs(self, before: int, value: Value) -> Iterator[Slug]:
        """Return the slugs that come after a position."""
        last = value.get("slug")
        if type(self).iter_slugs is not DetailSpider.iter_slugs:
            return self._numbered(self.iter_slugs(last), before)
        if last is not None and self.t8.was_given(DETAIL, self.point_name):
            return self._after(last)
        if self.slug_file is not None:
            return self._of_file(Path(self.slug_file), before, value.get("end"), last)
        return self._of_list(before, last)

    def _after(self, last: str) -> Iterator[Slug]:
        """Yield what comes after a slug that a resume point from outside names."""
        slugs = self._all()
        for slug in slugs:
            if slug.text == last:
                self.t8.stand_at(DETAIL, self.point_name, slug.position)
                yield from slugs
                return
        self._changed(last)
        yield from self._all()

    def _all(self) -> Iterator[Slug]:
        if self.slug_file is not None:
            return self._of_file(Path(self.slug_file), 0, None, None)
        return self._numbered(self.slugs, 0)

    def _of_list(self, before: int, last: str | None) -> Iterator[Slug]:
        slugs = self._numbered(self.slugs, 0)
        passed = next(islice(slugs, before - 1, None), None) if before else None
        if before and (passed is None or passed.text != last):
            self._changed(last)
            return self._numbered(self.slugs, 0)
        return slugs

    def _numbered(self, slugs: Iterable[Any], before: int) -> Iterator[Slug]:
        position = before
        for slug in slugs:
            text = "" if slug is None else str(slug).strip()
            if not text:
                logger.warning("Skipped an empty slug after position %d", position)
                continue
            position += 1
            yield Slug(text, position)

    def _of_file(self, path: Path, position: int, end: int | None, last: str | None) -> Iterator[Slug]:
        if position and (end is None or not _ends_with(path, end, last)):
            self._changed(last)
            position, end = 0, None
        for text, ending in lines_of(path, end or 0):
            if text:
                position += 1
                yield Slug(self._decoded(text, path, ending), position, ending)

    def _decoded(self, text: str, path: Path, end: int) -> str:
        """Return a slug as it can be stored. What is no UTF-8 is said once, and is likely to be no page."""
        shown = escape_surrogates(text)
        if shown != text and not self._has_misread:
            self._has_misread = True
            number = sum(1 for _, ending in lines_of(path) if ending <= end)
            logger.error("%s is not in UTF-8: line %d is %r. Save it in UTF-8, and run again", path, number, shown)
        return shown

    def _changed(self, last: str | None) -> None:
        logger.warning(
            "The list of slugs has changed before the last one that was requested (%r): starting again at the first. "
            "Slugs that this job has already requested are not requested twice",
            last,
        )
        self.t8.begin_again(DETAIL, self.point_name)


def _ends_with(path: Path, end: int, slug: str | None) -> bool:
    """Whether the line of *path* that ends at *end* is *slug*."""
    if slug is None or path.stat().st_size < end:
        return False
    encoding, mark = encoding_of_file(path)
    with path.open("rb") as file:
        file.seek(max(len(mark), end - LONGEST))
        tail = file.read(end - file.tell()).decode(encoding, errors="replace")
    return re.split("[\r\n]+", tail.rstrip("\r\n"))[-1].strip() == slug
