"""The pages that lead through commands: everything that they print is run as printed, and prints what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .sessions import DOCS, Session, check

pytestmark = pytest.mark.slow

SETTINGS = "shop/settings.py"
QUICK = {"DOWNLOAD_DELAY": 0.2, "LOG_LEVEL": "INFO"}


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path) as session:
        yield session


def names(path: Path) -> list[str]:
    """Return the names of the cars in a file, by number."""
    cars = [json.loads(line)["name"] for line in path.read_text().splitlines()]
    return sorted(cars, key=lambda name: int(name.split()[1]))


def cars(*without: int) -> list[str]:
    return [f"Car {number}" for number in range(1, 31) if number not in without]


def test_the_tutorial(session: Session) -> None:
    check(DOCS / "tutorial.md", session)
    feed = session.home / "shop/cars.jsonl"
    assert names(feed) == cars()
    prices = {car["name"]: car["price"] for car in map(json.loads, feed.read_text().splitlines())}
    assert prices == {f"Car {number}": None if number == 20 else number * 1000 for number in range(1, 31)}


def test_a_crawl_moves_from_jobdir(session: Session) -> None:
    session.open_shop(SETTINGS, **QUICK)
    check(DOCS / "howto/jobdir.md", session)
    assert names(session.home / "shop/cars.jsonl") == cars(7, 8, 20)


def test_a_pipeline_writes_to_a_database(session: Session) -> None:
    session.open_shop(SETTINGS, **QUICK)
    check(DOCS / "howto/database.md", session)
    assert names(session.home / "shop/cars.jsonl") == cars(7, 8, 20)


def test_a_collector_works_without_scrapy(session: Session) -> None:
    session.open_shop("shop/spiders/cars.py")
    session.run("cd ..; rm -r shop")
    check(DOCS / "howto/collector.md", session)
    assert sorted(set(names(session.home / "cars.jsonl")), key=cars().index) == cars()
