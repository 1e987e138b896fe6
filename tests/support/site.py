"""A small web site in a thread, whose pages behave as their paths say."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROBOTS = "User-agent: *\nDisallow: /*/private\n"


class Site:
    """The server, and how often each page was asked for.

    The first part of a path is a token: crawls with different tokens see the same site, each for the first time.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.hits: dict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def url(self, token: str) -> str:
        return f"http://127.0.0.1:{self.port}/{token}"

    def hit(self, token: str, page: str) -> int:
        """Count a request. Returns how many there were of this page, with this one."""
        with self._lock:
            self.hits[token][page] += 1
            return self.hits[token][page]


HOSTS = ("127.0.0.1", "127.0.0.2")


@contextmanager
def serve() -> Iterator[Site]:
    """A site that runs as long as the context, under two addresses."""
    servers = [Server((HOSTS[0], 0), Handler)]
    site = Site(servers[0].server_port)
    servers += [Server((host, site.port), Handler) for host in HOSTS[1:]]
    for server in servers:
        server.site = site
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    site: Site

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A crawl that was killed hangs up: nothing to tell."""


class Handler(BaseHTTPRequestHandler):
    """``p/...`` is a plain page; the other kinds are the methods ``_kind`` below."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        token, _, page = self.path.lstrip("/").partition("/")
        if token == "robots.txt":
            self._answer(200, ROBOTS, kind="text/plain")
            return
        count = self.server.site.hit(token, page)
        self._base = f"http://{self.headers['Host']}/{token}"
        kind, _, rest = page.partition("/")
        getattr(self, f"_{kind.replace('.', '_')}", self._p)(rest, count)

    def log_message(self, *args: Any) -> None:
        """Nobody reads it."""

    def _p(self, rest: str, count: int) -> None:
        self._answer(200, f"<h1>{rest}</h1>")

    def _status(self, rest: str, count: int) -> None:
        """``status/404/name``"""
        self._answer(int(rest.partition("/")[0]), rest)

    def _in_turn(self, rest: str, count: int) -> None:
        """``in_turn/200,503,302/name``: one status after the other, the last for ever; 302 leads to ``p/name``."""
        codes, _, name = rest.partition("/")
        turns = [int(code) for code in codes.split(",")]
        code = turns[min(count, len(turns)) - 1]
        self._answer(code, rest, location=f"{self._base}/p/{name}" if code == 302 else None)

    def _to(self, rest: str, count: int) -> None:
        """``to/p/1``: a redirect to ``p/1``."""
        self._answer(302, "", location=f"{self._base}/{rest}")

    def _loop(self, rest: str, count: int) -> None:
        self._answer(302, "", location=f"{self._base}/loop/{'b' if rest == 'a' else 'a'}")

    def _refresh(self, rest: str, count: int) -> None:
        """``refresh/p/1``: an HTML page that leads on to ``p/1``."""
        self._answer(200, f'<head><meta http-equiv="refresh" content="0;url={self._base}/{rest}"></head>')

    def _slow(self, rest: str, count: int) -> None:
        """``slow/50/name``: after 50 milliseconds."""
        time.sleep(int(rest.partition("/")[0]) / 1000)
        self._answer(200, rest)

    def _hang(self, rest: str, count: int) -> None:
        """``hang/name``: the first time it takes longer than anybody waits."""
        time.sleep(30 if count == 1 else 0)
        self._answer(200, rest)

    def _tree(self, rest: str, count: int) -> None:
        """``tree/3``: links to its two children in a tree of 15 pages, to its parent and to itself."""
        number = int(rest)
        links = [n for n in (2 * number, 2 * number + 1, number // 2, number) if 0 < n < 16]
        self._answer(200, "".join(f'<a href="{self._base}/tree/{n}">{n}</a>' for n in links))

    def _sitemap_xml(self, rest: str, count: int) -> None:
        pages = "".join(f"<url><loc>{self._base}/p/{n}</loc></url>" for n in range(12))
        body = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{pages}</urlset>'
        self._answer(200, body, kind="text/xml")

    def _answer(self, code: int, body: str, *, location: str | None = None, kind: str = "text/html") -> None:
        data = body.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(data)
