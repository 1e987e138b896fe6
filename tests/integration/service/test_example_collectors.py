"""The collectors of the example project, killed with SIGKILL again and again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8 import T8ResumeAndRetry

PROJECT = Path(__file__).parents[2] / "example_project"
LIST, DETAIL = "LIST_COLLECTION", "DETAIL_COLLECTION"
CARS, PAGES, A_PAGE = 406, 21, 20
KILLS = 6

pytestmark = pytest.mark.slow


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    """A site that is slow enough to be killed in its midst, and that fails now and then."""
    options = ["--port", "0", "--delay", "0.05", "--fail", "0.15", "--hits", str(tmp_path / "hits")]
    command = [sys.executable, "-m", "catalogue", *options]
    site = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert site.stdout is not None
    yield site.stdout.readline().strip()
    site.kill()
    site.wait()


class Collecting:
    """The command of a collector."""

    def __init__(self, here: Path, base: str, what: str, at_once: int) -> None:
        self._here = here
        self.killed = 0
        places = ["--state", str(here / "state"), "--data", str(here / "cars.db")]
        self._command = [sys.executable, "-m", "collectors", what, "--base", base, *places, "--at-once", str(at_once)]

    def start(self) -> subprocess.Popen[str]:
        quickly = {"T8_RETRY_BASE": "0.05", "T8_CRASH_LIMIT": "100", "T8_LOG_LEVEL": "ERROR"}
        quickly["T8_RETRY_KINDS"] = '{"handler": {"times": 20}}'
        return subprocess.Popen(
            self._command, cwd=PROJECT, env={**os.environ, **quickly}, stdout=subprocess.PIPE, text=True
        )

    def kill_after(self, hits: int) -> None:
        process, before = self.start(), self._hits()
        end = time.monotonic() + 30
        while self._hits() < before + hits and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(random.random() / 10)
        process.kill()
        self.killed += process.wait() == -9

    def finish(self) -> str:
        process = self.start()
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        return out

    def _hits(self) -> int:
        path = self._here / "hits"
        return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """What is in the database of the collectors, as their own module reads it."""
    monkeypatch.syspath_prepend(str(PROJECT))
    from collectors.cars import Cars

    return Cars(tmp_path / "cars.db")


def test_nothing_is_lost_and_no_point_is_ahead(tmp_path: Path, base: str, collected: object) -> None:
    from catalogue.data import load_cars

    slugs = [car.slug for car in load_cars()]
    lists = Collecting(tmp_path, base, "list", at_once=3)
    for _ in range(KILLS):
        lists.kill_after(random.randrange(1, 5))
        check_lists(tmp_path, collected, slugs)
    assert lists.killed >= KILLS // 2
    lists.finish()
    assert sorted(collected.iter_keys(LIST)) == sorted(slugs)  # type: ignore[attr-defined]

    details = Collecting(tmp_path, base, "detail", at_once=8)
    for _ in range(KILLS):
        details.kill_after(random.randrange(10, 60))
        check_details(tmp_path, collected)
    assert details.killed >= KILLS // 2
    out = details.finish()
    assert "0 wait to be retried, 0 findings" in out
    assert sorted(collected.iter_keys(DETAIL)) == sorted(slugs)  # type: ignore[attr-defined]
    with service(tmp_path) as t8:
        assert t8.state_manager.task_counts() == (0, 0)
        point = t8.get_resume_point(DETAIL)
        assert point is not None
        assert point.total_processed <= CARS
    assert "begins after nothing" not in out


def service(here: Path) -> T8ResumeAndRetry:
    return T8ResumeAndRetry({"state_dir": str(here / "state"), "enable_auto_retry": False, "log_level": "ERROR"})


def handed_over(t8: T8ResumeAndRetry, task_type: str) -> set[str]:
    tasks = [*t8.state_manager.failed_tasks(task_type), *t8.state_manager.dead_tasks(task_type)]
    targets = [task.target for task in tasks]
    assert len(targets) == len(set(targets)), "a target is in the queue twice"
    return set(targets)


def check_lists(here: Path, collected: object, slugs: list[str]) -> None:
    with service(here) as t8:
        point = t8.get_resume_point(LIST)
        failed = handed_over(t8, LIST)
        have = set(collected.iter_keys(LIST))  # type: ignore[attr-defined]
        for page in range(1, min(point.current_page if point else 0, PAGES) + 1):
            there = set(slugs[(page - 1) * A_PAGE : page * A_PAGE]) <= have
            assert there or str(page) in failed, f"page {page} is passed and was not had"


def check_details(here: Path, collected: object) -> None:
    with service(here) as t8:
        point = t8.get_resume_point(DETAIL)
        failed = handed_over(t8, DETAIL)
        have = set(collected.iter_keys(DETAIL))  # type: ignore[attr-defined]
        last = collected.number_of(point.last_slug) if point else 0  # type: ignore[attr-defined]
        for number, slug in collected.links_after(0):  # type: ignore[attr-defined]
            assert number > last or slug in have | failed, f"{slug} is passed and was not had"
