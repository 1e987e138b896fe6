"""A demonstration: a small collector is killed and goes on; what failed is tried again until it works."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy_t8.config.settings import Config
from scrapy_t8.service import T8ResumeAndRetry

from .collector import BAD, CARS, DETAIL, LIST, cars
from .processes import lines, run, wait_until

PAGES = 12
DELAY = 0.1
KILL_AT = 5  # Pages after which the collector is killed


def demo(config: Config, say: Callable[[str], None]) -> bool:
    """Run the demonstration, with log level and workers of *config*. Return whether all cars were collected."""
    with tempfile.TemporaryDirectory(prefix="t8-demo-") as folder:
        return _Demo(Path(folder), config, say).perform()


class _Demo:
    def __init__(self, folder: Path, config: Config, say: Callable[[str], None]) -> None:
        self._out, self._log = folder / "out", folder / "log"
        self._arguments = ("collector", str(folder / "state"), str(self._out), str(PAGES), str(DELAY))
        self._config = {
            "state_dir": str(folder / "state"),
            "retry_base": 0.2,
            "retry_cap": 1.0,
            "log_level": config.log_level,
            "max_workers": config.max_workers,
        }
        self._say = say
        self._tries = 0

    def perform(self) -> bool:
        self._say(f"A collector goes through {PAGES} pages of {CARS} cars. {BAD} does not answer.")
        status = run(*self._arguments, log=self._log, kill_when=lambda: len(lines(self._out)) >= KILL_AT)
        done = len(lines(self._out))
        self._say(f"kill -9 after page {done} (exit status {status}). The same command again:")
        status = run(*self._arguments, log=self._log)
        after = lines(self._out)[done:]
        self._say(f"It went on with {after[0].split(':')[0]} and ended with exit status {status}.")
        self._retry()
        return self._count()

    def _retry(self) -> None:
        with T8ResumeAndRetry(self._config) as t8:
            self._say("The retry service starts. What failed is tried again, later each time:")
            t8.retry_manager.register_retry_handler(DETAIL, self._try)
            wait_until(lambda: not any(t8.state_manager.task_counts()), f"{BAD} to be collected")
            point = t8.get_resume_point(LIST)
            self._say(f"Resume point: page {point.current_page if point else 0} of {PAGES}.")

    def _try(self, target: str, metadata: dict[str, Any]) -> bool:
        self._tries += 1
        self._say(f"  {target}, try {self._tries}: {'here it is' if self._tries >= 3 else 'no answer'}")
        if self._tries < 3:
            return False
        with self._out.open("a", encoding="utf-8") as file:
            file.write(f"retry: {target}\n")
        return True

    def _count(self) -> bool:
        collected = {slug for line in lines(self._out) for slug in line.split(": ")[1].split()}
        expected = {slug for page in range(1, PAGES + 1) for slug in cars(page)}
        missing = len(expected - collected)
        self._say(f"{len(expected) - missing} of {len(expected)} cars collected, {missing} lost.")
        return collected == expected
