"""A demonstration: a small collector is killed and resumed, and a failed task is retried until it succeeds."""

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


def demo(config: Config, say: Callable[[str], None], *, log_level: str | None = None) -> bool:
    """Run the demonstration, with the workers of *config*. Return whether all cars were collected.

    :param log_level: of the service's log, which is between the lines of the demonstration. None: only errors.
    """
    with tempfile.TemporaryDirectory(prefix="t8-demo-") as folder:
        state, out = Path(folder, "state"), Path(folder, "out")
        _collect(state, out, say)
        _retry(state, out, say, {"log_level": (log_level or "ERROR").upper(), "max_workers": config.max_workers})
        collected = {slug for line in lines(out) for slug in line.split(": ")[1].split()}
    expected = {slug for page in range(1, PAGES + 1) for slug in cars(page)}
    missing = len(expected - collected)
    say(f"{len(expected) - missing} of {len(expected)} cars collected, {missing} lost.")
    return collected == expected


def _collect(state: Path, out: Path, say: Callable[[str], None]) -> None:
    command, log = ("collector", str(state), str(out), str(PAGES), str(DELAY)), out.with_name("log")
    say(f"A collector goes through {PAGES} pages of {CARS} cars. {BAD} does not answer.")
    status = run(*command, str(PAGES - 1), log=log, kill_when=lambda: len(lines(out)) >= KILL_AT)
    done = len(lines(out))
    say(f"kill -9 after page {done} (exit status {status}). The same command again:")
    status = run(*command, log=log)
    say(f"It went on with {lines(out)[done].split(':')[0]} and ended with exit status {status}.")


def _retry(state: Path, out: Path, say: Callable[[str], None], settings: dict[str, Any]) -> None:
    tries = 0

    def handler(target: str, metadata: dict[str, Any]) -> bool:
        nonlocal tries
        tries += 1
        say(f"  {target}, try {tries}: {'here it is' if tries >= 3 else 'no answer'}")
        if tries < 3:
            return False
        with out.open("a", encoding="utf-8") as file:
            file.write(f"retry: {target}\n")
        return True

    with T8ResumeAndRetry({"state_dir": str(state), "retry_base": 0.2, "retry_cap": 1.0, **settings}) as t8:
        say("The retry service starts. What failed is tried again, later each time:")
        t8.retry_manager.register_retry_handler(DETAIL, handler)
        wait_until(lambda: not any(t8.state_manager.task_counts()), f"{BAD} to be collected")
        point = t8.get_resume_point(LIST)
        say(f"Resume point: page {point.current_page if point else 0} of {PAGES}.")
