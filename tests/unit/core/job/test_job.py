"""The job as components see it: opened whole or not at all, and given up in the end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.utils.test import get_crawler

from scrapy_t8.core.job import opening
from scrapy_t8.core.job.job import Job
from scrapy_t8.core.job.opening import open_job
from scrapy_t8.core.page import Outcome, leave_page
from scrapy_t8.errors import ConfigError, JobLocked, StoreError
from tests.unit.core.conftest import Timers


def crawler_in(directory: Path, **settings: Any) -> Crawler:
    crawler = get_crawler(Spider, {"JOBDIR": str(directory), **settings})
    crawler.spider = Spider("cars")
    crawler.spider.crawler = crawler
    return crawler


@pytest.fixture
def crawler(tmp_path: Path) -> Crawler:
    return crawler_in(tmp_path)


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, timers: Timers) -> None:
    for name in ("watch", "check"):
        monkeypatch.setattr(f"scrapy_t8.core.scrapy_private.{name}", lambda *_: None)


def close(job: Job, reason: str = "finished") -> None:
    leave_page()
    asyncio.run(job.close(reason))


def test_there_is_no_job_before_it_is_opened_and_after_it_is_closed(crawler: Crawler) -> None:
    assert Job.of(crawler) is None
    with pytest.raises(NotConfigured):
        Job.required(crawler)
    job = open_job(crawler)
    assert Job.of(crawler) is Job.required(crawler) is job
    assert job.works
    close(job)
    assert Job.of(crawler) is None
    assert not job.works


def test_a_mistake_in_the_settings_owns_nothing(tmp_path: Path) -> None:
    bad = crawler_in(tmp_path, T8_RETRY_HANDLERS={"X": "no.such.handler"})
    with pytest.raises(ConfigError):
        open_job(bad)
    assert Job.of(bad) is None
    assert not (tmp_path / "t8").exists()


def test_a_job_that_cannot_be_built_is_left_unlocked(crawler: Crawler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("no")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "_build", fail)
        with pytest.raises(StoreError):
            open_job(crawler)
    close(open_job(crawler))


def test_a_run_that_fails_at_its_beginning_is_closed(crawler: Crawler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("scrapy_t8.core.retry.system.RetrySystem.on_start", fail)
        with pytest.raises(StoreError, match="the disk is full"):
            open_job(crawler)
    assert Job.of(crawler) is None
    close(open_job(crawler))


def test_two_crawls_do_not_share_a_job(crawler: Crawler, tmp_path: Path) -> None:
    job = open_job(crawler)
    with pytest.raises(JobLocked):
        open_job(crawler_in(tmp_path))
    close(job)


def test_finalizers_decide_whether_the_job_is_finished(crawler: Crawler) -> None:
    async def done() -> bool:
        return True

    async def not_done() -> bool:
        return False

    for finalizer, is_finished in ((not_done, False), (done, True)):
        job = open_job(crawler)
        job.end(job.start_page)
        job.at_close(finalizer)
        close(job)
        assert job.record.finished is is_finished


def test_reports_come_when_the_run_has_ended(crawler: Crawler) -> None:
    job, seen = open_job(crawler), []

    async def report() -> None:
        seen.append((job.works, job.store.job()))

    job.after_run(report, at_exit=lambda: None)
    close(job, "shutdown")
    ((works, record),) = seen
    assert record is not None
    assert works, "the store is still owned"


def test_the_interpreter_ends_with_the_job_open(crawler: Crawler) -> None:
    job, seen = open_job(crawler), []

    async def report() -> None: ...

    job.after_run(report, at_exit=lambda: seen.append("at exit"))
    job._abandon()
    assert seen == ["at exit"]
    again = open_job(crawler)
    assert again.recovery.last_run is not None
    assert again.recovery.last_run.reason == "forced"
    close(again)


def test_components_are_part_of_each_commit(crawler: Crawler) -> None:
    class Component:
        def dump(self, *, force: bool) -> dict[str, bytes]:
            return {"component": b"all" if force else b"some"}

    job = open_job(crawler)
    job.persist(Component())
    job.flush()
    assert job.store.kept("component") == {"component": b"some"}
    close(job)
    again = open_job(crawler)
    assert again.store.kept("component") == {"component": b"all"}
    close(again)


def test_a_replayed_page_keeps_its_children_out_of_the_queues(crawler: Crawler) -> None:
    job = open_job(crawler)
    page = job.frontier.new_page(1)
    assert not job.intercept(Request("http://a/1"), page)
    assert not job.intercept(Request("http://a/1"), None)
    close(job)


def test_a_hand_over_that_is_rejected_is_discarded(crawler: Crawler) -> None:
    job = open_job(crawler)
    page = job.frontier.new_page(1)
    page.hand_over()
    job.rejected(Request("http://a/1"), page)
    assert page.outcome is Outcome.DISCARDED
    close(job)
