"""Which host a request goes to, and which page of a host is asked for again as a probe."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from scrapy import Request
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response
from scrapy.utils.httpobj import urlparse_cached

from scrapy_t8.core.retry.hosts import KNOWN, PAGES, Hosts, KnownPageProbes
from tests.support.clock import Clock


def slot_of(request: Request) -> str:
    return str(request.meta.get("download_slot") or urlparse_cached(request).hostname)


def hosts_of(made: Any, clock: Clock | None = None) -> Hosts:
    return Hosts(made, clock=clock or Clock(100.0), pause=0.0)


def crawler(answer: Any = None) -> Any:
    """A crawler whose downloads have *answer*: a status or an exception."""

    async def download_async(request: Request) -> Response:
        if isinstance(answer, Exception):
            raise answer
        return Response(request.url, status=answer)

    downloader = SimpleNamespace(get_slot_key=slot_of)
    return SimpleNamespace(engine=SimpleNamespace(downloader=downloader, download_async=download_async))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a/1", "a"),
        ("http://a:80/1", "a"),
        ("https://a:443/1", "a"),
        ("http://a:443/1", "a:443"),
        ("http://a:8080/1", "a:8080"),
    ],
)
def test_hosts_are_told_apart_by_port(url: str, name: str) -> None:
    assert hosts_of(crawler()).name(Request(url)) == name


def test_a_download_slot_of_the_spider_is_a_host_of_its_own() -> None:
    assert hosts_of(crawler()).name(Request("http://a:8080/1", meta={"download_slot": "account"})) == "account:8080"


@pytest.mark.parametrize(
    ("proxy", "is_own"),
    [
        ("http://p:1", True),
        ("http://user:word@p:1/", True),
        ("http://env:3128", False),
        ("env:3128", False),
        ("", False),
    ],
)
def test_a_proxy_of_the_environment_is_the_way_to_every_host(
    monkeypatch: pytest.MonkeyPatch, proxy: str, is_own: bool
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:word@env:3128/")
    assert hosts_of(crawler()).is_behind_proxy(Request("http://a/1", meta={"proxy": proxy})) == is_own


def test_a_known_page_is_asked_for_without_side_effects() -> None:
    hosts = hosts_of(crawler())
    meta = {"cookiejar": 1, "download_slot": "a", "t8_point": {}}
    hosts.remember("a", Request("http://a/1", callback=print, headers={"X-Key": "1"}, meta=meta))
    known = hosts.known_page("a")
    assert known is not None
    assert (known.url, known.callback, known.headers["X-Key"]) == ("http://a/1", None, b"1")
    assert known.meta["download_slot"] == "a"
    assert {"dont_merge_cookies", "dont_retry", "dont_cache"} <= known.meta.keys()
    assert not {"cookiejar", "t8_point"} & known.meta.keys()
    assert hosts.answered() == {"a"}


@pytest.mark.parametrize(
    "answered",
    [
        Request("http://a/1", method="POST"),
        Request("http://a:8080/1"),
        Request("http://a/1", meta={"proxy": "http://p:1"}),
    ],
    ids=["not a GET", "another port", "through a proxy"],
)
def test_not_every_page_is_asked_for_again(answered: Request) -> None:
    hosts = hosts_of(crawler())
    hosts.remember("a", answered)
    assert hosts.known_page("a") is None


def test_known_pages_take_turns_and_none_is_asked_for_again_too_soon() -> None:
    clock = Clock(100.0)
    hosts = Hosts(crawler(), clock=clock, pause=3.0)
    for number in range(PAGES + 5):
        hosts.remember("a", Request(f"http://a/{number}"))
        clock.now += 0.1
    assert hosts.known_page("a") is None
    assert hosts.known_page_from("a") == 103.0
    at_once = hosts.known_page("a", at_once=True)
    assert at_once is not None
    assert at_once.url == "http://a/0"
    asked = []
    for _ in range(PAGES + 1):
        clock.now += 3
        known = hosts.known_page("a")
        asked.append(known and known.url)
    assert asked == [f"http://a/{number % PAGES}" for number in range(1, PAGES + 2)]


def test_a_page_that_a_middleware_keeps_back_is_no_probe_any_more() -> None:
    hosts = hosts_of(crawler())
    hosts.remember("a", Request("http://a/1"))
    hosts.ask_no_more("a")
    assert hosts.known_page("a") is None


def test_few_hosts_are_remembered() -> None:
    hosts = hosts_of(crawler())
    for number in range(KNOWN + 5):
        hosts.remember(f"h{number}", Request(f"http://h{number}/"))
    assert len(hosts.answered()) <= KNOWN


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (200, "answered"),
        (404, "answered"),
        (503, "failed 503 Service Unavailable"),
        (500, "failed 500 Internal Server Error"),
        (OSError("refused"), "failed OSError: refused"),
        (IgnoreRequest("no"), "not asked"),
    ],
)
def test_the_result_of_a_probe(monkeypatch: pytest.MonkeyPatch, answer: Any, result: str) -> None:
    monkeypatch.setattr("scrapy_t8.core.scrapy_private.schedule_next_call", lambda crawler: None)
    made = crawler(answer)
    found: list[str] = []
    results: Any = SimpleNamespace(
        hosts=hosts_of(made),
        known_page_answered=lambda host: found.append("answered"),
        known_page_failed=lambda host, error: found.append(f"failed {error}"),
        known_page_not_asked=lambda host: found.append("not asked"),
    )
    waits = False
    probes = KnownPageProbes(made, results, has_requests=lambda: waits)

    async def probe() -> None:
        nonlocal waits
        results.hosts.remember("a", Request("http://a/1"))
        assert not probes.begin("a", at_once=False), "no request waits"
        waits = True
        assert not probes.begin("b", at_once=False)
        assert probes.begin("a", at_once=False)
        assert probes
        await asyncio.gather(*probes._tasks)

    asyncio.run(probe())
    assert found == [result]
    assert not probes
