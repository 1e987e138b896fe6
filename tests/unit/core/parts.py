"""The parts of a run, made without a crawl: a context over a real store, a control that records what is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.utils.request import fingerprint
from scrapy.utils.test import get_crawler

from scrapy_t8.config import Config
from scrapy_t8.core.page import Page
from scrapy_t8.core.run import RunContext, RunControl
from scrapy_t8.errors import T8Error
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.sqlite.store import SQLiteStore
from tests.support.clock import Clock


def fingerprint63(request: Request) -> int:
    return int.from_bytes(fingerprint(request)[:7], "big")


def new_crawler() -> Crawler:
    """Return a crawler with a spider."""
    crawler = get_crawler(Spider)
    crawler.spider = Spider("spider")
    crawler.spider.crawler = crawler
    return crawler


def run_context(
    directory: Path,
    config: Config | None = None,
    clock: Callable[[], float] | None = None,
    job: JobRecord | None = None,
    crawler: Crawler | None = None,
) -> RunContext:
    """Begin a run of the job in *directory*; a new job if there is none yet.

    :param crawler: of an earlier run, as making another one costs more than all else.
    """
    config = config or Config()
    store = SQLiteStore(directory / "t8")
    store.open()
    if store.job() is None:
        store.begin_job(job or JobRecord("job", "spider", {}, 0.0))
    recovery = store.begin_run(0.0, 1000)
    crawler = crawler or new_crawler()
    return RunContext(
        crawler=crawler,
        config=config,
        directory=directory,
        store=store,
        recovery=recovery,
        codec=Codec(crawler.spider),
        fingerprint=fingerprint63,
        clock=clock or Clock(),
    )


class Control(RunControl):
    """Takes the place of the commit loop: notes which pages have ended, and calls *flush* where one is asked for."""

    def __init__(self, flush: Callable[[], None] = lambda: None) -> None:
        self.error: T8Error | None = None
        self.ended: list[Page] = []
        self.asked: list[str] = []
        self._flush = flush

    @property
    def works(self) -> bool:
        return self.error is None

    def fail(self, error: T8Error) -> None:
        self.error = error

    def end(self, page: Page) -> None:
        if page.release():
            self.ended.append(page)

    def changed(self) -> None:
        self.asked.append("changed")

    def commit(self) -> bool:
        self.asked.append("commit")
        self._flush()
        return self.works

    def flush(self) -> None:
        self.asked.append("flush")
        self._flush()


def kill(context: RunContext) -> None:
    """Leave the store as a killed process does: nothing is closed, but the lock is free."""
    store: Any = context.store
    store._db.close()
    store._lock.release()
    store._marks.close()
