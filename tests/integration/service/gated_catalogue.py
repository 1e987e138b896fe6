"""The site of the example project, which answers no more requests than a file says.

``python -m tests.integration.service.gated_catalogue HITS LIMIT``: the hits are appended to the first file; as long as
the second one exists, there are no more of them than the number in it. Its only line of output is its URL.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from catalogue import __main__ as catalogue
from catalogue.__main__ import serve
from catalogue.app import build_app


def gate(hits: Path, limit: Path) -> Any:
    def is_open() -> bool:
        try:
            return hits.read_bytes().count(b"\n") < int(limit.read_text())
        except (FileNotFoundError, ValueError):
            return True

    @web.middleware
    async def gated(request: web.Request, handler: Any) -> Any:
        while not is_open():
            await asyncio.sleep(0.01)
        return await handler(request)

    return gated


def main(hits: str, limit: str) -> None:
    Path(hits).touch()
    catalogue.build_app = lambda cars, middlewares: build_app(cars, [*middlewares, gate(Path(hits), Path(limit))])
    options = {"host": "127.0.0.1", "port": 0, "delay": 0.05, "fail": 0.15, "seed": 0, "hits": hits}
    asyncio.run(serve(argparse.Namespace(**options)))


if __name__ == "__main__":
    main(*sys.argv[1:])
