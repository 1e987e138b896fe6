"""Serve the site from a process of its own, with as little work per request as asyncio allows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_site import build_site

ROOT = Path(__file__).resolve().parent.parent
HITS = b"/-/hits"
"""The path that is answered with the number of requests that the server has answered."""
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Site:
    """A running server: where it listens and how many paths it has."""

    url: str
    paths: int


@contextmanager
def serving(scenario: str, pages: int) -> Iterator[Site]:
    """Run the server while the block runs."""
    command = [sys.executable, "-m", "benchmarks.bench_server", scenario, str(pages)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield Site(**json.loads(process.stdout.readline()))
        # Leaving Popen's block closes stdin, which is what the server takes as its end, so that it ends as
        # well when this process is killed.


class Connection(asyncio.Protocol):
    """One keep-alive connection: GETs without a body in, prebuilt responses out."""

    hits = 0

    def __init__(self, responses: dict[bytes, bytes]) -> None:
        self._responses = responses
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1]
            if path == HITS:
                self._transport.write(_response(str(Connection.hits)))
                continue
            Connection.hits += 1
            self._transport.write(self._responses.get(path, NOT_FOUND))


async def _serve(responses: dict[bytes, bytes]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin, stopped.set)
    server = await loop.create_server(lambda: Connection(responses), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}", "paths": len(responses)}), flush=True)
    await stopped.wait()


def _response(html: str) -> bytes:
    body = html.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


if __name__ == "__main__":
    site = build_site(sys.argv[1], int(sys.argv[2]))
    asyncio.run(_serve({path.encode(): _response(html) for path, html in site.items()}))
