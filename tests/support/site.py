"""The HTTP site of all tests: one server in a thread, and as many sites on it as there are crawls.

A site is a path prefix. Each site counts its own hits and has its own values, so no two tests use
the same site. What the pages are is in :mod:`.pages`, or is given by a test that needs others.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

HOSTS = ("127.0.0.1", "127.0.0.2")
"""The server listens on both, so that a crawl can have two hosts."""


@dataclass(slots=True)
class Hit:
    """One request: when it came, for what, and how it was answered (0 while it is not)."""

    when: float
    method: str
    path: str
    """Path and query, less the prefix of the site."""
    status: int = 0

    @property
    def page(self) -> str:
        return f"{self.method} {self.path}"


class Pages(Protocol):
    """Answers the requests of a site."""

    async def answer(self, site: Site, request: web.Request, path: str) -> web.StreamResponse:
        """Return the answer for *path*, which is the path and query less the prefix of the site."""
        ...


class Site:
    """One site of the server, as a test uses it.

    :param name: the first part of the paths.
    """

    def __init__(self, server: Server, name: str, pages: Pages, values: dict[str, Any]) -> None:
        self.name = name
        self.pages = pages
        self.values = values
        """What the pages go by, such as how many entries a list has."""
        self.hits: list[Hit] = []
        """All requests, in the order in which they came."""
        self.posted: list[Any] = []
        """The JSON documents that were sent to it."""
        self.counts: Counter[str] = Counter()
        """How often each path was asked for."""
        self.at_once = self.most_at_once = 0
        """How many requests are being answered, and the most that ever were."""
        self.answers = 0
        """How many requests are answered."""
        self._alarm = (0, threading.Event())
        self._limit: int | None = None
        self._server = server
        self.open = asyncio.Event()
        """Set when the pages that are held may answer."""

    @property
    def base(self) -> str:
        return f"http://{HOSTS[0]}:{self._server.port}"

    @property
    def url(self) -> str:
        return f"{self.base}/{self.name}"

    def set(self, **values: Any) -> None:
        """Change the site."""
        self.values.update(values)

    def served(self, prefix: str) -> set[str]:
        """Return what follows *prefix* in the paths that were answered with 200, less their queries."""
        found = {
            hit.path.removeprefix(prefix) for hit in self.hits if hit.status == 200 and hit.path.startswith(prefix)
        }
        return {path.partition("&")[0].partition("?")[0] for path in found}

    def alarm(self, answers: int, slack: int = 0) -> threading.Event:
        """Return an event that is set when so many more requests are answered.

        The site answers *slack* requests after that, and no more until :meth:`go_on`: however late the test reacts, the
        crawl has not ended.
        """
        event = threading.Event()
        self._alarm = (self.answers + answers, event)
        self._limit = self.answers + answers + slack
        return event

    def go_on(self) -> None:
        """Answer everything again."""
        self._limit = None

    async def respond(self, request: web.Request, path: str) -> web.StreamResponse:
        """Answer a request, in the thread of the server."""
        hit = Hit(time.time(), request.method, f"/{path}")
        self.hits.append(hit)
        self.counts[hit.path] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            while self._limit is not None and self.answers >= self._limit and not self.open.is_set():
                await asyncio.sleep(0.01)
            answer = await self.pages.answer(self, request, path)
        finally:
            self.at_once -= 1
        hit.status = answer.status
        self.answers += 1
        if self.answers >= self._alarm[0]:  # the test may set the alarm meanwhile
            self._alarm[1].set()
        return answer

    def times(self) -> dict[str, list[float]]:
        """Return when each path was asked for."""
        found: dict[str, list[float]] = {}
        for hit in self.hits:
            found.setdefault(hit.path, []).append(hit.when)
        return found

    def release(self) -> None:
        """Let the pages answer that are held."""
        self._server.call(self.open.set)

    async def held(self) -> None:
        """Wait until the test releases the held pages."""
        await self.open.wait()


class Server:
    """The server, on the same port of all hosts."""

    def __init__(self) -> None:
        self.port = 0
        self.robots = "User-agent: *\nDisallow: /*/private\nDisallow: /*/car/secret\n"
        """robots.txt, which all sites share; an empty one is answered with 503."""
        self._sites: dict[str, Site] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()

    def site(self, pages: Pages, values: dict[str, Any] | None = None) -> Site:
        """Return a new site."""
        name = f"site-{next(self._numbers):04}"  # All names are equally long: crawls are compared by their bytes.
        self._sites[name] = Site(self, name, pages, dict(values or {}))
        return self._sites[name]

    def call(self, function: Any) -> None:
        """Call *function* in the thread of the server."""
        self._loop.call_soon_threadsafe(function)

    def run(self, started: threading.Event, stopped: asyncio.Event) -> None:
        """Serve in this thread until *stopped*."""
        self._loop.run_until_complete(self._serve(started, stopped))
        self._loop.close()

    async def _serve(self, started: threading.Event, stopped: asyncio.Event) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        for host in HOSTS:
            await web.TCPSite(runner, host, self.port, backlog=256).start()
            self.port = runner.addresses[0][1]
        started.set()
        await stopped.wait()
        for site in self._sites.values():
            site.open.set()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.raw_path == "/robots.txt":
            return web.Response(text=self.robots, status=200 if self.robots else 503)
        name, _, path = request.raw_path.lstrip("/").partition("/")
        return await self._sites[name].respond(request, path)


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server while the block runs."""
    server = Server()
    started, stopped = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=server.run, args=(started, stopped), daemon=True)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        server.call(stopped.set)
        thread.join()
