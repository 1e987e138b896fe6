"""The crawls that several tests look at: each is run once, when the first test asks for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .crawls import KILLED, Crawled, crawl
from .menu import FEEDS, lay

CHAIN = ("-a", "order=chain")


@dataclass(frozen=True)
class Ways:
    """One job with all feeds of the menu, in a directory of its own, as it was after each of its runs."""

    runs: list[Crawled]
    after: list[Path]

    @property
    def directory(self) -> Path:
        return self.after[-1]


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ways:
    """Plain Scrapy, in an order that is always the same."""
    return walk(tmp_path_factory.mktemp("plain"), [{"t8": False, "options": CHAIN}])


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ways:
    return walk(tmp_path_factory.mktemp("undisturbed"), [{"options": CHAIN}])


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Ways:
    stops = [{"CLOSESPIDER_ITEMCOUNT": 20}, {"CLOSESPIDER_PAGECOUNT": 9}, {}]
    return walk(tmp_path_factory.mktemp("stopped"), stops)


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Ways:
    kills = [{"die": "commit:3"}, {"die": "page:9"}, {"die": "commit:5"}, {}]
    return walk(tmp_path_factory.mktemp("killed"), [{**kill, "CONCURRENT_REQUESTS": 8} for kill in kills])


def walk(directory: Path, runs: list[dict[str, Any]]) -> Ways:
    place = directory / "now"
    place.mkdir()
    lay(place)
    crawled, after = [], []
    for number, options in enumerate(runs):
        crawled.append(crawl(place, FEEDS, *options.pop("options", ()), **options))
        assert crawled[-1].status == (KILLED if "die" in options else 0), crawled[-1].log
        kept = directory / f"after-{number}"
        shutil.copytree(place, kept, symlinks=True)
        after.append(kept)
    return Ways(crawled, after)
