"""The crawls that several tests look at: each is run once in a session, when the first test asks for it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.crawl import Run
from tests.support.shared import find_once

from .crawls import KILLED, crawl
from .feed_options import FEEDS, put_old_files


@dataclass(frozen=True)
class Snapshots:
    """One job with every feed of :mod:`.feed_options`: how its runs ended, and its directory after each of them."""

    runs: list[Run]
    after: list[Path]

    @property
    def directory(self) -> Path:
        return self.after[-1]


@pytest.fixture(scope="session")
def plain(common: Path) -> Snapshots:
    """Plain Scrapy, in an order that is always the same."""
    return snapshots_of(common / "feeds-plain", [{"t8": False, "order": "chain"}])


@pytest.fixture(scope="session")
def undisturbed(common: Path) -> Snapshots:
    return snapshots_of(common / "feeds-undisturbed", [{"order": "chain"}])


@pytest.fixture(scope="session")
def stopped(common: Path) -> Snapshots:
    # Scrapy before 2.18 holds each response for 0.1 s: of more requests at once, none would be left to the last run.
    stops = [{"CLOSESPIDER_ITEMCOUNT": 20}, {"CLOSESPIDER_PAGECOUNT": 9}]
    return snapshots_of(common / "feeds-stopped", [*({**stop, "CONCURRENT_REQUESTS": 4} for stop in stops), {}])


@pytest.fixture(scope="session")
def killed(common: Path) -> Snapshots:
    kills = [{"end": "kill:commit:3"}, {"end": "kill:page:9"}, {"end": "kill:commit:5"}, {}]
    return snapshots_of(common / "feeds-killed", [{**kill, "CONCURRENT_REQUESTS": 8} for kill in kills])


def snapshots_of(directory: Path, runs: list[dict[str, Any]]) -> Snapshots:
    return find_once(directory.parent, directory.name, lambda: _made(directory, runs))


def _made(directory: Path, runs: list[dict[str, Any]]) -> Snapshots:
    shutil.rmtree(directory, ignore_errors=True)  # another process may have failed in the middle
    place = directory / "now"
    place.mkdir(parents=True)
    put_old_files(place)
    crawled, after = [], []
    for number, options in enumerate(runs):
        crawled.append(crawl(place, FEEDS, **options))
        assert crawled[-1].code == (KILLED if "end" in options else 0), crawled[-1].log
        kept = directory / f"after-{number}"
        shutil.copytree(place, kept, symlinks=True)
        after.append(kept)
    return Snapshots(crawled, after)
