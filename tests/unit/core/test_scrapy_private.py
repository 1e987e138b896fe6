"""What the package uses of Scrapy without a promise: the check at the start, and the things that are replaced."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from twisted.internet.defer import Deferred, succeed

from scrapy_t8.core import scrapy_private
from scrapy_t8.core.scrapy_private import TABLE, check, command_line, names
from scrapy_t8.errors import ConfigError, ScrapyChanged
from scrapy_t8.utils.log.tracebacks import mute_tracebacks_of


class Owner:
    def __init__(self) -> None:
        self.made = 1

    def method(self, one: int, *, two: int) -> None:
        self.later = one + two


class Crawler:
    """A crawler with an engine, as far as they are touched."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.removed: list[Request] = []
        self.scheduled = 0
        slot = SimpleNamespace(inprogress={Request("data:,1"), Request("data:,2")}, remove_request=self.removed.append)
        slot.nextcall = SimpleNamespace(schedule=self._schedule)
        self.engine: Any = SimpleNamespace(
            _slot=slot,
            _handle_downloader_output=lambda result, request: succeed(result),
            close_spider_async=self._close,
            scraper=SimpleNamespace(slot=SimpleNamespace(queue=deque([1]), active={1}, itemproc_size=3, closing=None)),
        )

    def _schedule(self) -> None:
        self.scheduled += 1

    async def _close(self, *, reason: str = "cancelled") -> None:
        self.reasons.append(reason)


@pytest.fixture
def crawler() -> Any:
    return Crawler()


# -- the check ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def asyncio_reactor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "is_asyncio_available", lambda: True)


@pytest.mark.usefixtures("asyncio_reactor")
def test_this_scrapy_has_everything() -> None:
    for module in ("scrapy.commands", "scrapy.pipelines.media"):
        import_module(module)  # what is not loaded is not checked
    check()
    assert all(reason.endswith(".") for _, _, reason in TABLE)


@pytest.mark.usefixtures("asyncio_reactor")
@pytest.mark.parametrize("name", ["gone", "gone(one)", "method(one,three)", "made(one)"])
def test_what_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "TABLE", (*TABLE, (Owner, name, "This is why.")))
    with pytest.raises(ScrapyChanged) as raised:
        check()
    assert f"has no Owner.{name}, and scrapy_t8 needs it. This is why. Use a Scrapy release" in str(raised.value)


@pytest.mark.usefixtures("asyncio_reactor")
@pytest.mark.parametrize("name", ["made", "later", "method", "method(one)", "method(one,two)"])
def test_attributes_of_instances_and_methods_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "TABLE", ((Owner, name, "This is why."),))
    check()


@pytest.mark.usefixtures("asyncio_reactor")
@pytest.mark.parametrize(
    ("path", "is_refused"), [("scrapy.commands.Gone", True), ("scrapy.gone.Gone", False), ("scrapy.Spider", False)]
)
def test_classes_that_a_crawl_may_go_without(path: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module("scrapy.commands")
    monkeypatch.setattr(names, "TABLE", ((path, "from_crawler", "This is why."),))
    if is_refused:
        with pytest.raises(ScrapyChanged, match=r"has no Gone.from_crawler"):
            check()
    else:
        check()


def test_another_reactor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "is_asyncio_available", lambda: False)
    with pytest.raises(ScrapyChanged, match="T8 needs asyncio"):
        check()


# -- the engine --------------------------------------------------------------------------------------------------------


def test_requests_are_watched_until_they_are_released(crawler: Any) -> None:
    seen: list[Any] = []
    scrapy_private.watch(crawler, lambda request, result: seen.append(result), lambda request: seen.append("left"))
    request, waiting = Request("data:,"), Deferred[str]()
    ended: Deferred[Any] = crawler.engine._handle_downloader_output("answer", request)
    assert seen == ["answer", "left"]
    assert ended.called

    crawler.engine._handle_downloader_output = lambda result, request: waiting
    scrapy_private.watch(crawler, lambda request, result: seen.append(result), lambda request: seen.append("late"))
    running = crawler.engine._handle_downloader_output("slow", request)
    scrapy_private.release_in_flight(crawler)
    waiting.callback("its end")
    after = crawler.engine._handle_downloader_output("too late", request)
    assert seen == ["answer", "left", "slow", "late"]
    # The engine must not hear of either: it would look for a request that it does not have any more.
    reached: list[Any] = []
    for deferred in (running, after):
        deferred.addBoth(reached.append)
    assert reached == []


def test_everything_in_flight_is_released_and_the_log_left_alone(crawler: Any) -> None:
    scrapy_private.release_in_flight(crawler)
    assert set(crawler.removed) == crawler.engine._slot.inprogress
    scraping = crawler.engine.scraper.slot
    assert (len(scraping.queue), len(scraping.active), scraping.itemproc_size) == (0, 0, 0)
    assert not logging.getLogger("scrapy.core.engine").filters

    bare: Any = Crawler()
    bare.engine._slot = bare.engine.scraper.slot = None
    scrapy_private.release_in_flight(bare)


def test_calls_around_the_close(crawler: Any) -> None:
    calls: list[Any] = []
    scrapy_private.call_around_close(
        crawler,
        lambda reason: calls.append((reason, list(crawler.reasons))),
        lambda: calls.append(len(crawler.reasons)),
    )
    asyncio.run(crawler.engine.close_spider_async())
    asyncio.run(crawler.engine.close_spider_async(reason="shutdown"))
    assert calls == [("cancelled", []), 1, ("shutdown", ["cancelled"]), 2], "before the engine waits, and after"


def test_the_next_call_is_scheduled_if_there_is_an_engine(crawler: Any) -> None:
    scrapy_private.schedule_next_call(crawler)
    crawler.engine._slot = None
    scrapy_private.schedule_next_call(crawler)
    crawler.engine = None
    scrapy_private.schedule_next_call(crawler)
    assert crawler.scheduled == 1


def test_the_worst_of_several_crawls_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    command = SimpleNamespace(exitcode=0)
    monkeypatch.setattr(command_line, "running_command", lambda: command)
    monkeypatch.setattr(command_line, "_exit_statuses", {})
    one, two = Crawler(), Crawler()
    found = []
    for crawler, status in ((one, 3), (two, 3), (one, 0), (two, 4), (one, 3), (one, 0), (two, 0)):
        scrapy_private.set_exit_status(crawler, status)  # type: ignore[arg-type]
        found.append(command.exitcode)
    assert found == [3, 3, 3, 4, 3, 4, 0]
    command.exitcode = 1  # the command has failed by itself
    scrapy_private.set_exit_status(one, 3)  # type: ignore[arg-type]
    assert command.exitcode == 1


# -- the log -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["asyncio", "twisted"])
def log(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    log = logging.getLogger(request.param)
    before = list(log.filters)
    yield log
    assert log.filters == before


def test_one_traceback_of_one_error_is_muted(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    others = [logging.getLogger(name) for name in ("asyncio", "twisted")]
    mute_tracebacks_of(ConfigError("first"))

    for error in (ConfigError("second"), ValueError("first"), ConfigError("first"), ConfigError("first")):
        log.error("Nobody has handled it", exc_info=error)
        log.error("A line that says scrapy_t8.errors.ConfigError: other")

    assert [record.exc_info and str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        "second",
        "first",
        "first",
    ]
    assert len(caplog.records) == 3 + 4
    assert not any(other.filters for other in others)


def test_a_traceback_as_text_is_muted_too(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("twisted")
    mute_tracebacks_of(ConfigError("first"))
    log.critical("Unhandled error in Deferred:\n\nTraceback\nscrapy_t8.errors.ConfigError: first\n")
    log.critical("", exc_info=ConfigError("first"))
    assert not caplog.records
    assert not log.filters


def test_failed_starts_leave_no_filters_behind() -> None:
    for number in range(3):
        error = ConfigError(str(number))
        mute_tracebacks_of(error)
        logging.getLogger("asyncio").error("", exc_info=error)
    assert not logging.getLogger("asyncio").filters
    assert not logging.getLogger("twisted").filters
