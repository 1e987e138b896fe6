"""Jobs of real crawls, on which the commands run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import T8
from tests.support.crawl import Crawl
from tests.support.pages import VALUES, CommonPages
from tests.support.site import Server

PROJECT = Path(__file__).parent / "project"
FEEDS = ("items.jsonl", "items.csv", "items.json", "items.xml")


def new_crawl(server: Server, work: Path) -> Crawl:
    """Return a crawl of the project here, with a feed of each kind."""
    crawl = Crawl(PROJECT, server.site(CommonPages(), VALUES), work, "cars")
    crawl.feeds = [word for feed in FEEDS for word in ("-o", feed)]
    return crawl


def crawled(crawl: Crawl) -> Crawl:
    run = crawl.run()
    assert run.code == 0, run.log
    return crawl


@pytest.fixture(scope="session")
def stopped(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """All done but for what failed: two dead letters, and one request that waits for an hour. Not to be changed."""
    return crawled(new_crawl(server, tmp_path_factory.mktemp("stopped")))


@pytest.fixture
def fresh(server: Server, tmp_path: Path) -> Crawl:
    """As ``stopped``, but it may be changed, and its feeds lie where its crawl has written them."""
    return crawled(new_crawl(server, tmp_path / "fresh"))


@pytest.fixture(scope="session")
def killed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """Killed half-way, with 15 items or more. Not to be changed."""
    crawl = new_crawl(server, tmp_path_factory.mktemp("killed"))
    crawl.site.alarm(30)
    crawl.start().until(lambda: crawl.committed().exported >= 15, "15 items").kill()
    crawl.site.go_on()
    return crawl


@pytest.fixture
def mine(stopped: Crawl, tmp_path: Path) -> Crawl:
    """A copy of ``stopped`` that may be changed."""
    return stopped.copy(tmp_path / "mine")


@pytest.fixture
def t8(capsys: pytest.CaptureFixture[str], here: Path) -> T8:
    """Calls ``scrapy t8``, in the directory of the test."""
    return T8(capsys)
