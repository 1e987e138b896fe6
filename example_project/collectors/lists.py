"""The list collector: fetches page after page for the links on them. Resumes after `current_page`."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from scrapy_t8 import T8ResumeAndRetry

from .cars import LIST, Cars
from .progress import Progress, several
from .site import NoSuchPage, Site


class ListCollector:
    """Stores the slugs of all list pages in *cars*."""

    def __init__(self, t8: T8ResumeAndRetry, cars: Cars, base: str, *, at_once: int) -> None:
        self._t8 = t8
        self._cars = cars
        self._base = base
        self._at_once = at_once
        self._is_over = False
        t8.retry_manager.register_retry_handler(LIST, self.retry)

    async def collect(self) -> None:
        point = self._t8.get_resume_point(LIST)
        self._progress = Progress(self._t8, LIST, point.current_page if point else 0, save=self._save)
        self._t8.state_manager.start_run(LIST)
        async with Site(self._base) as self._site:
            await several(self._pages(point.current_page + 1 if point else 1), self._collect, self._at_once)
        self._t8.state_manager.finish_run(LIST)

    async def retry(self, target: str, metadata: dict[str, Any]) -> bool:
        # This runs in the event loop of the retry service, and a session belongs to one loop.
        async with Site(self._base) as site:
            try:
                self._cars.add_links(await site.slugs_of_page(int(target)))
            except NoSuchPage:
                return True
        return True

    def _pages(self, first: int) -> Iterator[tuple[int, str]]:
        for number in count(first):
            if self._is_over:
                return
            yield number, str(number)

    async def _collect(self, number: int, name: str) -> None:
        try:
            self._cars.add_links(await self._site.slugs_of_page(number))
        except NoSuchPage:
            self._is_over = True
        except Exception as error:
            self._progress.failed(number, name, error)
        else:
            self._progress.done(number, name)

    def _save(self, number: int, name: str) -> None:
        processed = self._cars.count_items(LIST)
        self._t8.create_resume_point(
            LIST, current_page=number, total_processed=processed, metadata={"site": self._base}
        )
