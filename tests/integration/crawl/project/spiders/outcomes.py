"""Pages that end in other ways than well: errbacks, exceptions, requests and items that are dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from base import NotingSpider, page_of
from scrapy import Request, signals
from scrapy.exceptions import CloseSpider, DontCloseSpider, DropItem, IgnoreRequest
from scrapy.http.request import NO_CALLBACK
from scrapy.spidermiddlewares.httperror import HttpError

from tests.support.probe import may_end, note, switched_on

NOBODY = "http://127.0.0.1:9/nobody"
"""Where every connection is refused."""


class Errbacks(NotingSpider):
    name = "errbacks"
    custom_settings: ClassVar = {"RETRY_ENABLED": False}

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("status/404/generous", self.leaf, errback=self.generous)
        yield self.to("status/404/silent", self.leaf)
        yield self.to("status/410/raising", self.leaf, errback=self.raising)
        yield self.to("status/403/coroutine", self.leaf, errback=self.coroutine)
        yield Request(NOBODY, self.leaf, errback=self.refused)
        yield Request(f"{NOBODY}/twice", self.leaf)

    def generous(self, failure: Any) -> Any:
        """Yields what a callback may: items, requests that are filtered, requests that are not."""
        assert failure.check(HttpError)
        note("page generous errback")
        yield {"errback": "generous"}
        yield self.to("p/filtered", self.leaf)
        yield self.to("p/unfiltered", self.leaf, dont_filter=True)
        may_end("generous")
        yield self.to("p/unfiltered", self.leaf, dont_filter=True)
        yield {"errback": "generous, later"}

    def raising(self, failure: Any) -> Any:
        note("page raising errback")
        yield {"errback": "before it raises"}
        yield self.to("p/before-it-raises", self.leaf)
        may_end("raising")
        raise ValueError("of an errback")

    async def coroutine(self, failure: Any) -> Any:
        note("page coroutine errback")
        await asyncio.sleep(0.1)
        may_end("coroutine")
        return [{"errback": "coroutine"}, self.to("p/from-coroutine", self.leaf)]

    def refused(self, failure: Any) -> Any:
        note("page refused errback")
        may_end("refused")
        return {"errback": "refused"}


class Exceptions(NotingSpider):
    name = "exceptions"
    custom_settings: ClassVar = {"SPIDER_MIDDLEWARES": {f"{__name__}.Rescue": 700}}

    async def start(self) -> AsyncIterator[Any]:
        for page in ("at_once", "in_the_middle", "in_async", "in_middleware", "rescued"):
            yield self.to(f"p/{page}", getattr(self, page, self.leaf))

    def at_once(self, response: Any) -> Any:
        note("page at_once")
        raise ValueError("before the first yield")

    def in_the_middle(self, response: Any) -> Any:
        note("page in_the_middle")
        yield {"page": "in_the_middle"}
        yield self.to("p/of-the-middle", self.leaf)
        yield self.to("p/of-the-middle", self.leaf, dont_filter=True)
        may_end("in_the_middle")
        raise ValueError("in the middle of a generator")

    async def in_async(self, response: Any) -> Any:
        note("page in_async")
        yield {"page": "in_async"}
        yield self.to("p/of-async", self.leaf, dont_filter=True)
        await asyncio.sleep(0.15)
        may_end("in_async")
        raise ValueError("in the middle of an asynchronous generator")

    def rescued(self, response: Any) -> Any:
        note("page rescued")
        raise KeyError("rescued")


class Rescue:
    """A spider middleware that makes output of an exception, and raises one of its own."""

    async def process_spider_output(self, response: Any, result: Any) -> AsyncIterator[Any]:
        async for output in result:
            yield output
            if page_of(response) == "p/in_middleware":
                raise ValueError("of a spider middleware")

    def process_spider_exception(self, response: Any, exception: Exception) -> Any:
        if isinstance(exception, KeyError):
            note("page rescue")
            may_end("rescue")
            return [{"rescued": page_of(response)}, response.follow("../p/after-rescue")]
        return None


class Ignored(NotingSpider):
    name = "ignored"
    custom_settings: ClassVar = {
        "DOWNLOADER_MIDDLEWARES": {f"{__name__}.IgnoreInDownloader": 400},
        "SPIDER_MIDDLEWARES": {f"{__name__}.IgnoreInSpider": 700},
        "EXTENSIONS": {f"{__name__}.IgnoreInSchedule": 0, "tests.support.probe.StatsFile": 900},
    }

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/root", self.root)

    def root(self, response: Any) -> Any:
        note("page root")
        for where in ("request", "response", "schedule", "input", "nowhere"):
            yield self.to(f"p/ignore-in-{where}", self.leaf)
            yield self.to(f"p/ignore-in-{where}?errback", self.leaf, errback=self.ignored, dont_filter=True)
        may_end("root")

    def ignored(self, failure: Any) -> Any:
        note(f"page ignored: {page_of(failure.request)}")
        may_end(f"errback of {page_of(failure.request)}")
        yield {"ignored": page_of(failure.request)}
        # Which errback is the first to ask for this page is chance. It must not show in the size of the requests.
        yield self.to("p/after-ignored", self.leaf, meta={"referrer_policy": "no-referrer"})


class IgnoreInDownloader:
    async def process_request(self, request: Request) -> None:
        if "ignore-in-request" in request.url:
            raise IgnoreRequest("on its way out")

    def process_response(self, request: Request, response: Any) -> Any:
        if "ignore-in-response" in request.url:
            may_end("ignored in response")
            raise IgnoreRequest("on its way in")
        return response


class IgnoreInSpider:
    def process_spider_input(self, response: Any) -> None:
        if "ignore-in-input" in response.url:
            raise IgnoreRequest("on its way to the spider")


class IgnoreInSchedule:
    def __init__(self, crawler: Any) -> None:
        crawler.signals.connect(self.request_scheduled, signals.request_scheduled)

    @classmethod
    def from_crawler(cls, crawler: Any) -> IgnoreInSchedule:
        return cls(crawler)

    def request_scheduled(self, request: Request) -> None:
        if "ignore-in-schedule" in request.url:
            raise IgnoreRequest("not to be scheduled")


class Pipelines(NotingSpider):
    name = "pipelines"
    custom_settings: ClassVar = {"ITEM_PIPELINES": {f"{__name__}.Moody": 100, f"{__name__}.Slow": 200}}

    async def start(self) -> AsyncIterator[Any]:
        for page in range(4):
            yield self.to(f"p/{page}", self.parse)

    def parse(self, response: Any) -> Any:
        name = page_of(response)
        note(f"page {name}")
        for kind in ("kept", "dropped", "raising", "changed"):
            yield {"page": name, "kind": kind}
        yield self.to(f"{name}/child", self.leaf, dont_filter=True)


class Moody:
    def process_item(self, item: Any) -> Any:
        kind = item.get("kind")
        may_end(f"pipeline {kind}")
        if kind == "dropped":
            raise DropItem("not wanted")
        if kind == "raising":
            raise ValueError("of a pipeline")
        return {**item, "changed": True} if kind == "changed" else item


class Slow:
    async def process_item(self, item: Any) -> Any:
        await asyncio.sleep(0.1)
        may_end(f"slow {item.get('kind')}")
        return item


class Coroutines(NotingSpider):
    """Callbacks that take their time, and requests that never see the scheduler."""

    name = "coroutines"

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/coroutine", self.coroutine)
        yield self.to("p/generator", self.generator)
        yield self.to("p/inline", self.inline)
        yield self.to("p/parsed")
        yield self.to("p/uncalled", NO_CALLBACK)

    async def parse(self, response: Any) -> Any:
        for output in self.leaf(response):
            yield output

    async def coroutine(self, response: Any) -> Any:
        note("page coroutine")
        await asyncio.sleep(0.1)
        return [{"page": "coroutine"}, *(self.to(f"p/of-coroutine-{n}", dont_filter=True) for n in range(3))]

    async def generator(self, response: Any) -> Any:
        note("page generator")
        for number in range(5):
            await asyncio.sleep(0.08)
            yield {"generator": number}
            yield self.to(f"p/of-generator-{number}", dont_filter=number % 2)
            may_end("generator")

    async def inline(self, response: Any) -> Any:
        note("page inline")
        for number in range(3):
            request = self.to(f"slow/200/inline-{number}", NO_CALLBACK)
            answer = await self.crawler.engine.download_async(request)
            yield {"inline": page_of(answer)}
            may_end("inline")
            yield self.to(f"p/of-inline-{number}", dont_filter=True)


class Enough(NotingSpider):
    """Closes itself in the middle, if that is switched on."""

    name = "enough"
    custom_settings: ClassVar = {"CONCURRENT_REQUESTS": 2}

    async def start(self) -> AsyncIterator[Any]:
        for page in range(10):
            yield self.to(f"p/{page}")

    def parse(self, response: Any) -> Any:
        name = page_of(response)
        note(f"page {name}")
        yield {"page": name}
        yield self.to(f"{name}/child", self.leaf, dont_filter=True)
        if name == "p/4" and switched_on("close"):
            raise CloseSpider("enough")
        yield {"page": name, "last": True}


class Injected(NotingSpider):
    """Requests that no page yields: an extension gives them to the engine."""

    name = "injected"
    custom_settings: ClassVar = {"EXTENSIONS": {f"{__name__}.Injector": 0, "tests.support.probe.StatsFile": 900}}

    async def start(self) -> AsyncIterator[Any]:
        yield self.to("p/start")

    def parse(self, response: Any) -> Any:
        yield from self.leaf(response)
        yield from (self.to(f"{page_of(response)}/{n}", self.leaf, dont_filter=True) for n in range(2))
        may_end(f"end of {page_of(response)}")


class Injector:
    """Gives the engine one request at the beginning, and one each of the first three times that the spider is idle."""

    @classmethod
    def from_crawler(cls, crawler: Any) -> Injector:
        return cls(crawler)

    def __init__(self, crawler: Any) -> None:
        self._crawler = crawler
        self._times = 0
        crawler.signals.connect(self.spider_opened, signals.spider_opened)
        crawler.signals.connect(self.spider_idle, signals.spider_idle)

    def spider_opened(self, spider: NotingSpider) -> None:
        self._crawler.engine.crawl(spider.to("p/opened"))

    def spider_idle(self, spider: NotingSpider) -> None:
        if self._times < 3:
            self._times += 1
            self._crawler.engine.crawl(spider.to(f"p/idle-{self._times}"))
            raise DontCloseSpider
