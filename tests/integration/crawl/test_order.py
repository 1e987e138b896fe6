"""With one request at a time, pages are processed in the order of plain Scrapy."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.support.crawl import Crawl
from tests.support.releases import prompt_callbacks

from .compare import Lab

pytestmark = pytest.mark.slow

FIFO = {"SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue"}
SIMPLE = {"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue"}
AWARE = {"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue"}
ONE = {"CONCURRENT_REQUESTS": 1}

WAYS: dict[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {
    "lifo": ({}, {}),
    "fifo": (FIFO, {}),
    "priorities": ({}, {"priorities": "0,5,-3"}),
    "priorities-fifo": (FIFO, {"priorities": "0,5,-3"}),
    "breadth-first": ({**FIFO, "DEPTH_PRIORITY": 1}, {}),
    "depth-first": ({"DEPTH_PRIORITY": -1}, {"priorities": "1,0"}),
    "no-start-queue": ({"SCHEDULER_START_MEMORY_QUEUE": ""}, {"priorities": "0,1"}),
    "hosts": (AWARE, {"hosts": "3", "priorities": "0,0,1"}),
    "hosts-simple": (SIMPLE, {"hosts": "3"}),
}
STEADY = {"fifo", "breadth-first"}
"""Ways whose order does not depend on which pages were fetched when a callback runs."""


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [pytest.param(*way, id=name, marks=() if name in STEADY else prompt_callbacks) for name, way in WAYS.items()],
)
def test_order(lab: Lab, settings: Mapping[str, Any], arguments: Mapping[str, str]) -> None:
    """Undisturbed, and stopped in the middle. Traps 2, 21."""
    settings = {**ONE, **settings}
    plain, calm, stopped = (lab.crawl("order", t8=t8, **settings, **arguments) for t8 in (False, True, True))
    runs = [plain.finished, calm.finished, partial(_stopped_in_the_middle, stopped)]
    judge = plain
    if "priorities" in arguments:
        # What was in flight at the stop has brought its requests before the next one is chosen: so Scrapy's JOBDIR.
        judge = lab.crawl("order", t8=False, **{**settings, **_on_disk(settings)}, **arguments)
        runs.append(partial(_stopped_in_the_middle, judge))
    _together(*runs)
    assert calm.pages == plain.pages
    assert stopped.pages == judge.pages
    assert calm.lines == stopped.lines == plain.lines


def test_order_from_the_disk_queue(lab: Lab) -> None:
    """A project that has chosen its order for JOBDIR gets it."""
    settings = {**ONE, "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue"}
    plain, chosen = lab.crawl("order", t8=False, **{**ONE, **FIFO}), lab.crawl("order", **settings)
    _together(plain.finished, chosen.finished)
    assert chosen.pages == plain.pages


@prompt_callbacks
def test_requests_in_memory_keep_their_place(lab: Lab) -> None:
    """A request that runs from memory comes when it would have come. Trap 27."""
    ways = [{}, FIFO]
    crawls = [
        lab.crawl("order", t8=t8, **{**ONE, **way}, live="3", priorities="0,0,0,2")
        for way in ways
        for t8 in (False, True)
    ]
    _together(*(crawl.finished for crawl in crawls))
    for plain, calm in zip(crawls[::2], crawls[1::2], strict=True):
        assert calm.pages == plain.pages


@prompt_callbacks
def test_more_requests_than_the_queue_holds_in_memory(lab: Lab) -> None:
    """What was left to the store comes back in its place."""
    ways = [{}, FIFO]
    crawls = [lab.crawl("wide", t8=t8, **{**ONE, **way}) for way in ways for t8 in (False, True)]
    # By page 60 all requests of the wide page are in the queue: pages are fetched while they are pushed.
    stops = [partial(_stopped_in_the_middle, crawl, page=60) for crawl in crawls[1::2]]
    _together(*(crawl.finished for crawl in crawls[::2]), *stops)
    for plain, stopped in zip(crawls[::2], crawls[1::2], strict=True):
        assert stopped.pages == plain.pages


@pytest.mark.parametrize(
    ("before", "after"),
    [(AWARE, SIMPLE), (SIMPLE, AWARE), ({}, {"SCHEDULER_START_MEMORY_QUEUE": ""}), ({}, FIFO)],
    ids=["to-simple", "to-aware", "no-start-queue", "to-fifo"],
)
def test_the_queues_change_between_runs(lab: Lab, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Every request finds its way into the new queues. Trap 2."""
    arguments = {"hosts": "3", "priorities": "0,2"}
    plain, changed = (lab.crawl("order", t8=t8, **arguments) for t8 in (False, True))

    def change() -> None:
        # Early, with start requests waiting.
        changed.stopped("page:3", **{**ONE, **before})
        changed.finished(**after)

    _together(plain.finished, change)
    assert changed.lines == plain.lines
    assert sorted(changed.pages) == sorted(plain.pages)


def _on_disk(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with which Scrapy's JOBDIR has the same order."""
    fifo = settings.items() >= FIFO.items()
    disk = {"JOBDIR": "job", "SCHEDULER_DISK_QUEUE": f"scrapy.squeues.Pickle{'Fifo' if fifo else 'Lifo'}DiskQueue"}
    start = "SCHEDULER_START_MEMORY_QUEUE"
    return {**disk, "SCHEDULER_START_DISK_QUEUE": settings[start]} if start in settings else disk


def _stopped_in_the_middle(crawl: Crawl, page: int = 20) -> None:
    crawl.stopped(f"page:{page}")
    crawl.finished()


def _together(*crawls: Any) -> None:
    with ThreadPoolExecutor(3) as pool:
        for end in [pool.submit(crawl) for crawl in crawls]:
            end.result()
