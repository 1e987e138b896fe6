"""A small site with everything that makes recovery hard, in a process of its own that logs every hit.

Several crawls use one server: the first part of a path names the crawl, and begins with its size in list pages, as in
``/14-kill3/detail/27``. Each crawl has a hit log of its own, one line per request, written before the answer.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from aiohttp import web

DETAILS = 10
"""Detail pages of one list page."""
TAR = 6.0
"""Seconds that the slowest page takes, the first time."""
SPECIAL = {
    1: "extra",
    2: "again",
    3: "go",
    4: "flaky",
    5: "gone",
    6: "broken",
    7: "slow",
    8: "memo",
    9: "known",
}
"""What kind of page a detail page leads to, by the last digit of its number."""


@dataclass(frozen=True)
class Hit:
    """One request that the server has seen."""

    when: float
    page: str
    """Method and path, less the crawl's prefix."""
    status: int


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    logs: Path

    def log_of(self, crawl: str) -> Path:
        return self.logs / f"{crawl}.log"

    def hits(self, crawl: str) -> list[Hit]:
        """All hits of one crawl so far, oldest first."""
        log = self.log_of(crawl)
        lines = log.read_text().splitlines() if log.exists() else []
        return [_hit(line) for line in lines]


def _hit(line: str) -> Hit:
    when, method, path, status = line.split(" ")
    return Hit(float(when), f"{method} {path}", int(status))


@contextmanager
def serving(logs: Path) -> Iterator[Server]:
    """Run the server while the block runs. It ends with this process, however that ends: its stdin closes then."""
    command = [sys.executable, __file__, str(logs)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}", logs)
        finally:
            process.kill()


# -- the site ----------------------------------------------------------------------------------------------------


class Site:
    """Answers for every crawl; remembers how often each was told to come back later."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._visits: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        """One page of one crawl."""
        _, crawl, path = request.path.split("/", 2)
        self._visits[request.path] += 1
        response = self._response(f"/{crawl}", path, int(crawl.partition("-")[0]))
        with (self._logs / f"{crawl}.log").open("a") as log:
            log.write(f"{time.time():.6f} {request.method} /{path} {response.status}\n")
        await asyncio.sleep(TAR if path == "tar" and self._visits[request.path] == 1 else latency(path))
        return response

    def _response(self, base: str, path: str, lists: int) -> web.Response:
        kind, _, rest = path.partition("/")
        number = int(rest or 0)
        if kind == "go":
            hop = "go2" if number % 20 == 3 else "land"
            return web.Response(status=302, headers={"Location": f"{base}/{hop}/{number}"})
        if kind == "go2":
            return web.Response(status=301, headers={"Location": f"{base}/land/{number}"})
        if kind == "known":
            known = number * 7 % (lists * DETAILS)
            return web.Response(status=302, headers={"Location": f"{base}/detail/{known}"})
        if kind == "gone":
            return web.Response(status=404, text="gone")
        if kind == "down" or (kind == "flaky" and self._is_busy(f"{base}/{path}", number)):
            return web.Response(status=503, text="later")
        return web.Response(text=page(base, kind, number, lists), content_type="text/html")

    def _is_busy(self, key: str, number: int) -> bool:
        return self._visits[key] <= 1 + number // 10 % 2


def latency(path: str) -> float:
    """Seconds before the answer: none for what is to follow its parent at once, else a few milliseconds."""
    return 0 if path.startswith("urgent") else 0.002 + crc32(path.encode()) % 20 / 1000


def page(base: str, kind: str, number: int, lists: int) -> str:
    """The HTML of a page with links."""
    anchors = [f'<a class="{name}" href="{base}{path}">x</a>' for name, path in links(kind, number, lists)]
    return f"<html><body><h1>{kind} {number}</h1>{''.join(anchors)}</body></html>"


def links(kind: str, number: int, lists: int) -> Iterator[tuple[str, str]]:
    """The kinds and paths that a page leads to."""
    details = lists * DETAILS
    if kind == "list":
        yield from (("detail", f"/detail/{number * DETAILS + digit}") for digit in range(DETAILS))
        yield from (("detail", f"/detail/{(number * 31 + step * 17) % details}") for step in range(3))
        if number + 3 < lists:
            yield "list", f"/list/{number + 3}"
        if number == 0:
            yield from (("late", "/late/0"), ("down", "/down/0"), ("big", "/big"), ("tar", "/tar"))
    elif kind == "detail":
        special = SPECIAL.get(number % DETAILS, "urgent")
        yield special, f"/{special}/{number}"
        yield "detail", f"/detail/{number * 13 % details}"


async def serve(logs: Path) -> None:
    """Answer until stdin closes."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stopped.set)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Site(logs).answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
