"""A spider whose URLs, headers, bodies and errors hold a secret."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from scrapy import FormRequest, Request, Spider
from scrapy.exceptions import DropItem

from scrapy_t8 import RetryPage
from tests.support.probe import SITE

SECRET = "geh3im"
PARAMETERS = "&".join(
    (
        *(f"{name}={SECRET}" for name in ("token", "API-Key", "x_session_id")),
        f"sig={SECRET}0123456789abc",
        f"next=https%3A%2F%2Fa%3A{SECRET}%40b#access_token={SECRET}",
    )
)


def url(path: str, site: str = SITE) -> str:
    """Return a URL full of secrets."""
    return f"{site}/{path}/token/Ab1{SECRET}0123456789?{PARAMETERS}"


def is_ban(response: Any) -> str | None:
    """A response check that names the URL."""
    return f"banned at {response.url}" if "/p/ban" in response.url else None


def crashes(target: str, metadata: dict[str, Any]) -> bool:
    """A retry handler with a bug that names the URL."""
    raise KeyError(target)


class Pipeline:
    def process_item(self, item: Any) -> Any:
        if "/p/choke" in item["url"]:
            raise ValueError(f"cannot store {item['url']}")
        if "/p/drop" in item["url"]:
            raise DropItem(f"not wanted: {item['url']}")
        return item


class Leaky(Spider):
    name = "leaky"
    custom_settings: ClassVar[dict[str, Any]] = {
        "ITEM_PIPELINES": {"leaky.Pipeline": 1},
        "T8_RETRY_CHECKS": ["leaky.is_ban"],
    }
    t8_retry_handlers: ClassVar[dict[str, Any]] = {"BY_HAND": crashes}

    async def start(self) -> AsyncIterator[Any]:
        headers = {"Authorization": f"Basic {SECRET}", "Cookie": f"a={SECRET}; b={SECRET}"}
        for path in (
            "status/404",
            "broken",
            "flaky-1",
            "cut-9",
            "asks-nonsense",
            "p/again",
            "p/bug",
            "p/end",
            "p/give-up",
        ):
            yield Request(url(path), headers=headers)
        for path in ("p/end", "p/give-up", "p/ban", "p/choke", "p/drop", "to/p/well", "p/state"):
            yield Request(url(path))
        yield Request(url("status/410"), errback=self.fail)
        yield Request(url("status/503"), meta={"t8_task_type": "BY_HAND"})
        yield Request(url("status/502"), meta={"t8_retry": {"token": SECRET}})
        yield Request(url("p/live"), lambda page: self.parse(page))
        yield Request(url("status/404/live"), meta={"lock": object()})
        yield Request(url("p/proxy"), meta={"proxy": f"http://ann:{SECRET}@127.0.0.1:1"})
        for number in range(3):
            yield Request(url(f"nobody/{number}", "http://127.0.0.3:1"))
        # Scrapy does not fetch a URL with a password in it, and says so in an error that names the password.
        yield Request(url("p/user").replace("://", f"://ann:{SECRET}@"))
        yield FormRequest(url("broken/form"), formdata={"password": SECRET, "user": "ann"})

    def parse(self, response: Any) -> Iterator[Any]:
        if "/p/again" in response.url:
            raise RetryPage(f"not yet: {response.url}", delay=0.1)
        if "/p/give-up" in response.url:
            raise RetryPage(f"never: {response.url}")
        if "/p/bug" in response.url:
            raise ValueError(f"cannot parse {response.url} for Authorization: Basic {SECRET}")
        if "/p/end" in response.url:
            raise KeyboardInterruptOfAPage(f"{response.url} ends")
        if "/p/state" in response.url:
            self.state[response.url] = object()
        yield {"url": response.url}

    def fail(self, failure: Any) -> None:
        raise RuntimeError(f"no errback for {failure.value.response.url}")


class KeyboardInterruptOfAPage(BaseException):
    """What no page should raise."""
