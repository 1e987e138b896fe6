"""`python -m catalogue`: run the site until it is stopped. Its only line of output is its URL."""

import argparse
import asyncio
import contextlib
from collections.abc import Iterator

from aiohttp import web
from aiohttp.typedefs import Middleware

from .app import build_app
from .behaviour import failing, logging_hits, slow
from .data import load_cars


def main() -> None:
    options = _options()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options))


async def serve(options: argparse.Namespace) -> None:
    runner = web.AppRunner(build_app(load_cars(), list(_middlewares(options))), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port).start()
    print(f"http://{options.host}:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def _middlewares(options: argparse.Namespace) -> Iterator[Middleware]:
    # The log stands outermost, so that it sees the failures too and a slow answer when it is given.
    if options.hits:
        yield logging_hits(options.hits)
    if options.delay:
        yield slow(options.delay)
    if options.fail:
        yield failing(options.fail, options.seed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m catalogue", description="A car catalogue to crawl.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8017, help="0 picks a free one (default: %(default)s)")
    parser.add_argument("--delay", type=seconds, default=0, metavar="SECONDS", help="every answer takes that")
    parser.add_argument("--fail", type=share, default=0, metavar="RATE", help="share of 503 answers, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="which answers fail (default: %(default)s)")
    parser.add_argument("--hits", metavar="FILE", help="append a line for each request served to this file")
    return parser.parse_args()


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds")
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


if __name__ == "__main__":
    main()
