"""Plans of trials: the command of a crawl, and how each of its runs is ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from signal import SIGINT, SIGKILL, SIGTERM

from .run import TrialRun

FULL, SMALL = 5, 3
"""Sizes of the site, in list pages of some 43 hits each."""
BEFORE = b'{"kind": "before", "page": "", "number": 0, "note": ""}\n' * 2


@dataclass(frozen=True)
class Variant:
    """One form of the command.

    :param feeds: file names with the option that asks for them.
    """

    name: str
    feeds: Mapping[str, str] = field(default_factory=lambda: {"items.jsonl": "-O"})
    settings: Mapping[str, str] = field(default_factory=dict)
    jobdir: bool = True
    lists: int = FULL

    @property
    def concurrency(self) -> int:
        return int(self.settings.get("CONCURRENT_REQUESTS", 16))

    @property
    def interval(self) -> float:
        return float(self.settings.get("T8_COMMIT_INTERVAL", 0.05))


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("jsonl"),
        Variant("append", feeds={"items.jsonl": "-o"}),
        Variant("csv", feeds={"items.csv": "-O"}),
        Variant("json", feeds={"items.json": "-O"}),
        Variant("two-feeds", feeds={"items.jsonl": "-O", "items.csv": "-O"}),
        Variant("two-kinds", feeds={"items.jsonl": "-O", "items.json": "-O"}),
        Variant("reactorless", settings={"TWISTED_REACTOR_ENABLED": "False"}),
        Variant("plain-queue", settings={"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.ScrapyPriorityQueue"}),
        Variant("aware-queue", settings={"SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue"}),
        Variant("fifo", settings={"SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue"}),
        Variant("interval-1", settings={"T8_COMMIT_INTERVAL": "1"}),
        Variant("pages-1", settings={"T8_COMMIT_PAGES": "1"}),
        Variant("no-jobdir", jobdir=False),
        Variant("one-by-one", settings={"CONCURRENT_REQUESTS": "1"}, lists=4),
    )
}


# -- ends --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """A moment of a run: some seconds after its start, or after a part of the answers that are left."""

    seconds: float = 0.0
    progress: float | None = None

    def wait(self, run: TrialRun, left: int) -> bool:
        """Wait for the moment. Return False if the process ended before."""
        if self.progress is not None and not run.sleep_until_answers(max(1, round(left * self.progress))):
            return False
        return run.sleep(self.seconds) if self.seconds else True

    def __str__(self) -> str:
        return f"{self.seconds:.3f}s" + ("" if self.progress is None else f" after {self.progress:.0%}")


@dataclass(frozen=True)
class Blow:
    """Signals from outside, each some seconds after the one before."""

    moment: Moment
    signals: tuple[tuple[signal.Signals, float], ...] = ((SIGKILL, 0.0),)

    fault = None

    @property
    def is_at_start(self) -> bool:
        return self.moment.progress is None

    def strike(self, run: TrialRun, left: int) -> None:
        if not self.moment.wait(run, left):
            return
        for what, pause in self.signals:
            if pause and not run.sleep(pause):
                return
            if pause and not self.is_at_start and not run.sleep_until_noticed():
                return
            run.send(what)

    def __str__(self) -> str:
        return "+".join(what.name for what, _ in self.signals) + f" at {self.moment}"


@dataclass(frozen=True)
class Fault:
    """The process kills itself at a point inside scrapy_t8: see :mod:`fault`."""

    fault: str

    is_at_start = False

    def strike(self, run: TrialRun, left: int) -> None:
        run.end()
        assert run.died, f"the fault point {self.fault} was not reached (exit {run.exit_code})\n{run.tail()}"

    def __str__(self) -> str:
        return self.fault


End = Blow | Fault


def interrupt(seconds: float = 0.0, progress: float | None = None) -> Blow:
    """One Ctrl-C."""
    return Blow(Moment(seconds, progress), ((SIGINT, 0.0),))


def interrupt_twice(seconds: float = 0.0, progress: float | None = None, pause: float = 0.1) -> Blow:
    """Ctrl-C twice."""
    return Blow(Moment(seconds, progress), ((SIGINT, 0.0), (SIGINT, pause)))


def terminate(seconds: float = 0.0, progress: float | None = None, patience: float = 2.0) -> Blow:
    """SIGTERM, and SIGKILL some seconds later, as a service manager does."""
    return Blow(Moment(seconds, progress), ((SIGTERM, 0.0), (SIGKILL, patience)))


def kill(seconds: float = 0.0, progress: float | None = None) -> Blow:
    """``kill -9``."""
    return Blow(Moment(seconds, progress))


# -- plans -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A crawl, and the ends that its runs come to before one may finish.

    :param arguments: of the spider.
    :param settings: besides those of the variant.
    :param reruns: how often the command is given again, at the most, until the job has finished.
    :param fresh: with an interpreter of its own, which has still to import everything, for each run that is ended some
        seconds after its start.
    """

    name: str
    ends: tuple[End, ...] = ()
    variant: Variant = VARIANTS["jsonl"]
    lists: int | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    reruns: int = 1
    fresh: bool = False

    @property
    def size(self) -> int:
        return self.lists or self.variant.lists

    def __str__(self) -> str:
        return f"{self.name}, {self.variant.name}: " + "; ".join(map(str, self.ends))
