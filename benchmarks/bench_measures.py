"""What is compared, how two crawls of one round compare, and what T8 may cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, quantiles, stdev

from benchmarks.bench_crawl import Crawl

BASES = ("memory", "core", "t8")
"""What the other modes are compared with: the first of these that is there."""


@dataclass(frozen=True)
class Measure:
    """A number of a crawl paired with the in-memory crawl of the same round."""

    name: str
    compare: Callable[[Crawl, Crawl], float]
    digits: int
    of_wall_time: bool = False
    """Says nothing when the modes run together and wait for each other."""


@dataclass(frozen=True)
class Bar:
    """The limit for the median of a measure."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        """Whether the value is on the right side."""
        return value >= self.limit if self.at_least else value <= self.limit

    def verdict(self, spread: Spread) -> str:
        """Say in a word or two what the spread says."""
        word = "pass" if self.holds(spread.median) else "FAIL"
        noisy = self.holds(spread.lower) != self.holds(spread.upper)
        return f"{self} {word}{', within the noise' if noisy else ''}"

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of the paired values, their mean and its standard error."""

    lower: float
    median: float
    upper: float
    mean: float
    error: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """One value is its own spread."""
        if len(values) == 1:
            values, error = values * 2, math.nan
        else:
            error = stdev(values) / math.sqrt(len(values))
        lower, middle, upper = quantiles(values, n=4, method="inclusive")
        return cls(lower, middle, upper, fmean(values), error)


MEASURES = (
    Measure("CPU of the crawl, ratio", lambda crawl, base: crawl.cpu / base.cpu, 3),
    Measure("CPU of the process, ratio", lambda crawl, base: crawl.process_cpu / base.process_cpu, 3),
    Measure("CPU per page, added us", lambda crawl, base: _cpu_per_page(crawl) - _cpu_per_page(base), 0),
    Measure("pages per second, ratio", lambda crawl, base: _pace(crawl) / _pace(base), 3, of_wall_time=True),
    Measure("peak memory, added MB", lambda crawl, base: crawl.peak_mb - base.peak_mb, 1),
)

COMMON_BARS = {
    "CPU of the crawl, ratio": Bar(1.05),
    "pages per second, ratio": Bar(0.97, at_least=True),
    "peak memory, added MB": Bar(10),
}
BARS: dict[str, dict[str, Bar]] = {
    "pages": COMMON_BARS,
    "ready": COMMON_BARS,
    "links": COMMON_BARS | {"CPU per page, added us": Bar(250)},
}
BOOKS = {"CPU of the crawl, ratio": Bar(1.03)}
"""What the books of items may cost, against the core."""


def bar_of(scenario: str, mode: str, base: str, measure: str) -> Bar | None:
    """The limit for *measure* of *mode* compared with *base*, if there is one."""
    if mode == "integrity" and base == "core":
        return BOOKS.get(measure)
    return BARS[scenario].get(measure) if mode in ("t8", "waiting") else None


def _cpu_per_page(crawl: Crawl) -> float:
    return crawl.cpu / crawl.pages * 1e6


def _pace(crawl: Crawl) -> float:
    return crawl.pages / crawl.seconds
