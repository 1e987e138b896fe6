"""`python -m collectors list|detail --base URL`: collect, go on after a kill, retry what failed, validate."""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.errors import T8Error

from .cars import DETAIL, LIST, Cars
from .details import DetailCollector
from .lists import ListCollector

COLLECTORS: dict[str, tuple[str, type[ListCollector | DetailCollector]]] = {
    "list": (LIST, ListCollector),
    "detail": (DETAIL, DetailCollector),
}


async def main(options: argparse.Namespace) -> int:
    task_type, collector = COLLECTORS[options.what]
    cars = Cars(options.data)
    async with T8ResumeAndRetry({"state_dir": str(options.state)}, db_manager=cars) as t8:
        point = t8.get_resume_point(task_type)
        print(f"{task_type}: begins after {point.last_slug or point.current_page if point else 'nothing'}")
        await collector(t8, cars, options.base, at_once=options.at_once).collect()
        waiting = await wait_for_retries(t8, task_type, options.wait)
        findings = (await t8.validate())["database"]["problems"]
        collected = cars.count_items(task_type)
        print(f"{task_type}: {collected} collected, {waiting} wait to be retried, {len(findings)} findings")
    return 1 if waiting else 0


async def wait_for_retries(t8: T8ResumeAndRetry, task_type: str, seconds: float) -> int:
    """Wait until no task of this type waits for a retry, or so many seconds. Return how many tasks still wait."""
    end = time.monotonic() + seconds
    while waiting := sum(1 for _ in t8.state_manager.failed_tasks(task_type)):
        if time.monotonic() > end:
            break
        await asyncio.sleep(0.1)
    return waiting


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m collectors", description="Collect the catalogue without Scrapy.")
    parser.add_argument("what", choices=COLLECTORS)
    parser.add_argument("--base", default="http://127.0.0.1:8017", help="the site (default: %(default)s)")
    parser.add_argument("--state", type=Path, default=Path("data/state"), help="default: %(default)s")
    parser.add_argument("--data", type=Path, default=Path("cars.db"), help="default: %(default)s")
    parser.add_argument("--at-once", type=int, default=8, metavar="N", help="pages at once (default: %(default)s)")
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS", help="for retries (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(_options())))
    except T8Error as error:
        sys.exit(str(error))
