"""The detail collector: fetches a page for each slug that the list collector has found. Resumes after `last_slug`."""

from typing import Any

from scrapy_t8 import T8ResumeAndRetry

from .cars import DETAIL, Cars
from .progress import Progress, several
from .site import Site


class DetailCollector:
    """Stores the figures of all cars in *cars*."""

    def __init__(self, t8: T8ResumeAndRetry, cars: Cars, base: str, *, at_once: int) -> None:
        self._t8 = t8
        self._cars = cars
        self._base = base
        self._at_once = at_once
        t8.retry_manager.register_retry_handler(DETAIL, self.retry)

    async def collect(self) -> None:
        point = self._t8.get_resume_point(DETAIL)
        begin = self._cars.number_of(point.last_slug) if point and point.last_slug else 0
        links = self._cars.links_after(begin)
        self._progress = Progress(self._t8, DETAIL, begin, save=self._save)
        self._t8.state_manager.start_run(DETAIL, total_items=begin + len(links))
        async with Site(self._base) as self._site:
            await several(iter(links), self._collect, self._at_once)
        self._t8.state_manager.update_run(DETAIL, processed_items=self._cars.count_items(DETAIL))
        self._t8.state_manager.finish_run(DETAIL)

    async def retry(self, target: str, metadata: dict[str, Any]) -> bool:
        # This runs in the event loop of the retry service, and a session belongs to one loop.
        async with Site(self._base) as site:
            self._cars.put(target, await site.car(target))
        return True

    async def _collect(self, number: int, slug: str) -> None:
        try:
            self._cars.put(slug, await self._site.car(slug))
        except Exception as error:
            self._progress.failed(number, slug, error)
        else:
            self._progress.done(number, slug)

    def _save(self, number: int, slug: str) -> None:
        processed = self._cars.count_items(DETAIL)
        self._t8.create_resume_point(DETAIL, last_slug=slug, total_processed=processed, metadata={"site": self._base})
