"""Run every mode once per round, in turns or all at the same time."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice, permutations
from pathlib import Path

from benchmarks.bench_crawl import Crawl, crawl
from benchmarks.bench_server import serving

Round = dict[str, Crawl]
"""The crawls of a round by their mode, in the order in which they were started."""


def run_rounds(
    scenario: str, pages: int, orders: list[tuple[str, ...]], together: bool, directory: Path | None
) -> list[Round]:
    """Crawl the scenario's site once per mode and round."""
    run_round = _run_together if together else _run_in_turns
    with serving(scenario, pages) as site:
        rounds = []
        for number, order in enumerate(orders, start=1):
            _report(f"{scenario}, {pages} pages, round {number} of {len(orders)}")
            rounds.append(run_round(order, lambda mode: crawl(scenario, mode, site, pages, directory)))
    return rounds


def orders_of(modes: list[str], rounds: int, seed: int) -> list[tuple[str, ...]]:
    """Every order of the modes in turn, so that none of them always runs first or after the same other."""
    orders = list(permutations(modes))
    random.Random(seed).shuffle(orders)
    return list(islice(cycle(orders), rounds))


def _run_in_turns(order: tuple[str, ...], run: Callable[[str], Crawl]) -> Round:
    crawls: Round = {}
    for mode in order:
        crawls[mode] = run(mode)
        _report_crawl(mode, crawls[mode])
    return crawls


def _run_together(order: tuple[str, ...], run: Callable[[str], Crawl]) -> Round:
    with _one_core(), ThreadPoolExecutor(len(order)) as threads:
        crawls = dict(zip(order, threads.map(run, order), strict=True))
    for mode, done in crawls.items():
        _report_crawl(mode, done)
    return crawls


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep what is started in the block on one core, where all get the same share of good and bad moments."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _report_crawl(mode: str, done: Crawl) -> None:
    pace = done.pages / done.seconds
    _report(f"  {mode:<8}{done.cpu:7.2f} s CPU {pace:6.0f} pages/s {done.peak_mb:7.1f} MB")


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
