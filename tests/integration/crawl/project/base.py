"""What the spiders of the scenes share: a name for each page, a note of what was done, a place to end the run at."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response

SITE = os.environ.get("SCENE_SITE", "")
"""Where the site of this crawl is, with the token by which the server tells crawls apart."""

_passed: Counter[str] = Counter()


def note(text: str) -> None:
    """Add a line to the notes of this crawl. A kill right after it does not matter to them."""
    fd = os.open(os.environ["SCENE_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{text}\n".encode())
    os.close(fd)


def may_end(point: str) -> None:
    """End the run here, if ``SCENE_END`` says so: ``kill:point`` or ``stop:point:3`` (at the third passing)."""
    how, _, where = os.environ.get("SCENE_END", "").partition(":")
    name, _, number = where.partition(":")
    if name != point:
        return
    _passed[point] += 1
    if _passed[point] == int(number or 1):
        note(f"! {how} at {point}")
        os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGINT)


def switched_on(name: str) -> bool:
    """Whether ``SCENE_SWITCH`` names *name*: for a spider that is another in another run."""
    return name in os.environ.get("SCENE_SWITCH", "").split(",")


def page_of(response: Response) -> str:
    """The path of a page, less the token."""
    return response.url.removeprefix(SITE).lstrip("/")


class Scene(Spider):
    """A spider that notes each page that it processes."""

    def to(self, path: str, callback: Any = None, **kwargs: Any) -> Request:
        """A request for a page of the site."""
        return Request(f"{SITE}/{path}", callback, **kwargs)

    def leaf(self, response: Response) -> Any:
        """A page that brings one item and no more."""
        name = page_of(response)
        note(f"page {name}")
        may_end(name)
        yield {"page": name}
