"""Carries out the plans of a session, two at a time, and keeps what all of them share."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from .checks import Figures
from .plan import Plan, Variant
from .run import Runner
from .torture_site import Server
from .trial import Trial, Truth, command, read_items

AT_ONCE = 2
PLAIN = Variant("plain", jobdir=False, settings={"ADDONS": "{}"})


class Lab:
    """The trials of a session.

    Tests are carried out ahead of their turn, by :data:`AT_ONCE` threads: nearly all of the time is waiting.
    """

    def __init__(self, server: Server, directory: Path) -> None:
        self.figures: list[Figures] = []
        self._server = server
        self._directory = directory
        self._runner = Runner()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._trials: dict[str, Future[Trial]] = {}
        self._truths: dict[str, Future[Truth]] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()

    def trial(self, item: pytest.Item) -> Trial:
        """The trial of the plan that *item* is parametrised with. All others of the session begin with the first."""
        if not self._trials:
            for other in item.session.items:
                plan = getattr(getattr(other, "callspec", None), "params", {}).get("plan")
                if isinstance(plan, Plan):
                    self._trials[other.nodeid] = self._pool.submit(self._carry_out, plan)
        return self._trials[item.nodeid].result()

    def done(self, figures: Figures, trial: Trial) -> None:
        """The trial has held: remember its numbers, and nothing else."""
        self.figures.append(figures)
        shutil.rmtree(trial.directory)

    def close(self) -> None:
        self._runner.stop()
        self._pool.shutdown(cancel_futures=True)

    def _carry_out(self, plan: Plan) -> Trial:
        truth = self._truth(plan)
        directory, crawl = self._new(plan)
        trial = Trial(plan, truth, self._runner, self._server, directory, crawl)
        trial.carry_out()
        return trial

    def _new(self, plan: Plan) -> tuple[Path, str]:
        with self._lock:
            number = next(self._numbers)
        directory = self._directory / f"{number}"
        directory.mkdir()
        return directory, f"{plan.size}-{number}"

    def _truth(self, plan: Plan) -> Truth:
        """What an undisturbed crawl of the same pages brings under plain Scrapy. Found out once."""
        arguments = {("skip" if name == "poison" else name): value for name, value in plan.arguments.items()}
        name = f"{plan.size} {sorted(arguments.items())}"
        with self._lock:
            known = name in self._truths
            future = self._truths.setdefault(name, Future())
        if not known:
            try:
                future.set_result(self._find_out(Plan("truth", variant=PLAIN, lists=plan.size, arguments=arguments)))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _find_out(self, plan: Plan) -> Truth:
        directory, crawl = self._new(plan)
        log, hits = directory / "run.log", self._server.log_of(crawl)
        arguments = command(plan.variant, {"base": f"{self._server.url}/{crawl}", **plan.arguments}, {})
        began = time.monotonic()
        with self._runner.running(1, arguments, directory, log, hits) as run:
            pass
        assert run.exit_code == 0, run.tail()
        seen = Counter(hit.page for hit in self._server.hits(crawl))
        return Truth(read_items(directory / "items.jsonl"), seen, time.monotonic() - began)
