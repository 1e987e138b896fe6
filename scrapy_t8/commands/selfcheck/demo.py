"""A demonstration: a small collector is killed and goes on; what failed is tried again until it works."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.service import T8ResumeAndRetry

from .collector import BAD, CARS, DETAIL, LIST, cars
from .processes import lines, run, run_and_kill, until

PAGES = 12
DELAY = 0.1
KILL_AT = 5
"""Pages after which the collector is killed."""


def demo(config: Config, say: Callable[[str], None]) -> bool:
    """Show it. Returns whether all was as it should be.

    :param config: its log level and number of workers; the state is kept in a place of its own, and removed.
    """
    with tempfile.TemporaryDirectory(prefix="t8-demo-") as folder:
        return _Demo(Path(folder), config, say).perform()


class _Demo:
    def __init__(self, folder: Path, config: Config, say: Callable[[str], None]) -> None:
        self._out, self._log = folder / "out", folder / "log"
        self._arguments = (str(folder / "state"), str(self._out), str(PAGES), str(DELAY))
        self._given = {
            "state_dir": str(folder / "state"),
            "retry_base": 0.2,
            "retry_cap": 1.0,
            "log_level": config.log_level,
            "max_workers": config.max_workers,
        }
        self._say = say
        self._asked = 0

    def perform(self) -> bool:
        self._say(f"A collector goes through {PAGES} pages of {CARS} cars. {BAD} does not answer.")
        status = run_and_kill("collector", *self._arguments, when=self._is_far, log=self._log)
        done = len(lines(self._out))
        self._say(f"kill -9 after page {done} (exit status {status}). The same command again:")
        status = run("collector", *self._arguments, log=self._log)
        after = lines(self._out)[done:]
        self._say(f"It went on with {after[0].split(':')[0]} and ended with exit status {status}.")
        self._retry()
        return self._count()

    def _is_far(self) -> bool:
        return len(lines(self._out)) >= KILL_AT

    def _retry(self) -> None:
        with T8ResumeAndRetry(self._given) as t8:
            self._say("The retry service starts. What failed is tried again, later each time:")
            t8.retry_manager.register_retry_handler(DETAIL, self._try)
            until(lambda: not any(t8.state_manager.task_counts()), f"{BAD} to be collected")
            point = t8.get_resume_point(LIST)
            self._say(f"Resume point: page {point.current_page if point else 0} of {PAGES}.")

    def _try(self, target: str, metadata: dict[str, Any]) -> bool:
        self._asked += 1
        self._say(f"  {target}, try {self._asked}: {'here it is' if self._asked >= 3 else 'no answer'}")
        if self._asked < 3:
            return False
        with self._out.open("a", encoding="utf-8") as file:
            file.write(f"retry: {target}\n")
        return True

    def _count(self) -> bool:
        had = {slug for line in lines(self._out) for slug in line.split(": ")[1].split()}
        wanted = {slug for page in range(1, PAGES + 1) for slug in cars(page)}
        self._say(f"{len(had & wanted)} of {len(wanted)} cars collected, {len(wanted - had)} lost.")
        return had == wanted
