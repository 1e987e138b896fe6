"""Jobs made by real crawls, to be looked at and acted on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8 import read_report
from tests.commands.calling import T8
from tests.crawls.site import Site, serve

PROJECT = Path(__file__).parent / "project"
ROOT = Path(__file__).parents[2]
FEEDS = ("items.jsonl", "items.csv", "items.json", "items.xml")


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with serve() as site:
        yield site


class Stall:
    """A directory in which the spider of the project crawls. Its job is in ``job``."""

    def __init__(self, work: Path, site: Site) -> None:
        self.work = work
        work.mkdir(exist_ok=True)
        self._site = site

    @property
    def job(self) -> Path:
        return self.work / "job"

    def begin(self, delay: int = 0, gate: str = "") -> subprocess.Popen[str]:
        """Begin to crawl.

        :param delay: milliseconds that each page takes.
        :param gate: a file that the crawl does not come to its end without.
        """
        feeds = [word for feed in FEEDS for word in ("-o", feed)]
        given = {"site": self._site.url(self.work.name), "delay": delay, "gate": gate}
        spider = [word for name, value in given.items() for word in ("-a", f"{name}={value}")]
        settings = ["-s", "T8_ITEM_KEY=id", "-s", "JOBDIR=job"]
        command = [sys.executable, "-m", "scrapy", "crawl", "stall", *feeds, *spider, *settings]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("T8_", "SCRAPY_"))}
        env = {**kept, "PYTHONPATH": f"{PROJECT}:{ROOT}", "SCRAPY_SETTINGS_MODULE": "settings"}
        return subprocess.Popen(command, cwd=self.work, env=env, stderr=subprocess.PIPE, text=True)

    def lines(self) -> int:
        """Of the feed that is continued."""
        feed = self.work / FEEDS[0]
        return len(feed.read_text().splitlines()) if feed.exists() else 0

    def wait_for(self, lines: int, process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + 60
        while self.lines() < lines:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.01)

    def copy(self, work: Path) -> Stall:
        """The same as it is now, to be changed."""
        shutil.copytree(self.work, work, dirs_exist_ok=True)
        return Stall(work, self._site)


@pytest.fixture(scope="session")
def stopped(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Stall:
    """All done but for what failed: two dead letters, and one request that waits for an hour. Not to be changed."""
    return _crawled(Stall(tmp_path_factory.mktemp("stopped"), site))


@pytest.fixture
def fresh(site: Site, tmp_path: Path) -> Stall:
    """The same as the last, whose feeds lie where its crawl has written them, and may be changed."""
    return _crawled(Stall(tmp_path / "fresh", site))


def _crawled(stall: Stall) -> Stall:
    process = stall.begin()
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    return stall


@pytest.fixture(scope="session")
def killed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Stall:
    """Killed half-way. Not to be changed."""
    stall = Stall(tmp_path_factory.mktemp("killed"), site)
    process = stall.begin(delay=40)
    stall.wait_for(15, process)
    while read_report(stall.job)["ledger"]["items"]["exported"] < 15:  # those in the feed may not be committed yet
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    return stall


@pytest.fixture
def mine(stopped: Stall, tmp_path: Path) -> Stall:
    """A job that may be changed."""
    return stopped.copy(tmp_path / "mine")


@pytest.fixture
def t8(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> T8:
    monkeypatch.chdir(tmp_path)
    return T8(capsys)
