"""The collectors of the example project, killed with SIGKILL again and again."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8 import T8ResumeAndRetry
from tests.support.process import ROOT, Process, environment, wait_until

PROJECT = ROOT / "example_project"
LIST, DETAIL = "LIST_COLLECTION", "DETAIL_COLLECTION"
CARS, PAGES, A_PAGE = 406, 21, 20
KILLS = 6

pytestmark = pytest.mark.slow


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    """A site that takes its time, fails now and then, and answers no more requests than ``limit`` says."""
    arguments = ["-m", "tests.integration.service.gated_catalogue", str(tmp_path / "hits"), str(tmp_path / "limit")]
    output = tmp_path / "site"
    site = Process(arguments, PROJECT, environment=environment(PROJECT), log=tmp_path / "site.log", output=output)
    wait_until(lambda: output.exists() and output.read_text().endswith("\n"), meanwhile=lambda: site.is_alive)
    yield output.read_text().strip()
    site.kill()


class Collecting:
    """The command of a collector."""

    def __init__(self, here: Path, base: str, what: str, at_once: int) -> None:
        self._here = here
        self.killed = 0
        places = ["--state", str(here / "state"), "--data", str(here / "cars.db")]
        self._arguments = ["-m", "collectors", what, "--base", base, *places, "--at-once", str(at_once)]

    def start(self) -> Process:
        quickly = {"T8_RETRY_BASE": "0.05", "T8_CRASH_LIMIT": "100", "T8_LOG_LEVEL": "ERROR"}
        quickly["T8_RETRY_KINDS"] = '{"handler": {"times": 20}}'
        variables = environment(PROJECT, **quickly)
        files = {"log": self._here / "collector.log", "output": self._here / "collector.out"}
        return Process(self._arguments, PROJECT, environment=variables, **files)

    def kill_after(self, hits: int) -> None:
        """Kill the collector after so many more hits, if it has not ended by then."""
        enough = self._hits() + hits
        (self._here / "limit").write_text(str(enough))
        process = self.start()
        wait_until(lambda: self._hits() >= enough or not process.is_alive)
        time.sleep(random.random() / 10)
        self.killed += process.kill() == -9
        (self._here / "limit").unlink()

    def finish(self) -> str:
        """Let the collector come to its end, and return its output."""
        code = self.start().wait()
        out = (self._here / "collector.out").read_text()
        assert code == 0, out + (self._here / "collector.log").read_text()
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
