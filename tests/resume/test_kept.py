"""What Scrapy forgets is known after a kill."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

import msgpack
import pytest

from scrapy_t8.components.extensions.stats import merged
from scrapy_t8.model.codec import Codec

from .harness import Crawl

pytestmark = pytest.mark.slow
CARS = ",".join(f"car/{n}" for n in range(60))
SPACED = {"DOWNLOAD_DELAY": "0.05", "RANDOMIZE_DOWNLOAD_DELAY": "0"}


def kept(crawl: Crawl, name: str) -> bytes:
    db = sqlite3.connect(crawl.work / "job/t8/state.db")
    data: bytes = db.execute("SELECT data FROM kept WHERE name = ?", (name,)).fetchone()[0]
    db.close()
    return data


def state(crawl: Crawl) -> dict[str, Any]:
    found: dict[str, Any] = Codec().decode_item(kept(crawl, "spider.state"))
    return found


def cookies(crawl: Crawl) -> dict[str, Any]:
    """What each page was sent."""
    lines = [json.loads(line) for line in (crawl.work / "items.jsonl").read_text().splitlines()]
    return {line["slug"]: line.get("cookies") for line in lines}


def test_the_state_of_the_spider_survives_a_kill(crawl: Crawl) -> None:
    crawl.killed(1.0, "asking", paths=CARS, settings=SPACED)
    before = state(crawl)
    assert before["pages"] >= 10
    assert isinstance(before["seen"], set)
    crawl.run("asking", paths=CARS)
    after = state(crawl)
    assert len(after["seen"]) == 60
    assert 60 <= after["pages"] <= 60 + 16 + 3  # in flight at the kill, and one interval
    assert not (crawl.work / "job/spider.state").exists()


def test_a_state_that_cannot_be_stored_is_told_of_by_its_key(crawl: Crawl) -> None:
    log = crawl.run("asking", paths="car/1,car/odd,car/3")
    assert log.count("spider.state['odd'] cannot be stored") == 1
    assert state(crawl)["pages"] == 3


def test_statistics_of_all_runs(crawl: Crawl) -> None:
    crawl.killed(1.0, "asking", paths=CARS, settings=SPACED)
    log = crawl.run("asking", paths=CARS)
    totals = merged(*(msgpack.unpackb(kept(crawl, f"totals:{part}")) for part in ("before", "now")))
    assert totals["item_scraped_count"] >= 60
    assert f"'t8/job/item_scraped_count': {totals['item_scraped_count']}" in log
    here = int(log.split("\n 'item_scraped_count': ")[1].split(",")[0])
    assert here < 60


@pytest.mark.parametrize(("limit", "reason"), [("ITEMCOUNT", "itemcount"), ("PAGECOUNT", "pagecount")])
def test_limits_of_a_job(crawl: Crawl, limit: str, reason: str) -> None:
    settings = {f"CLOSESPIDER_{limit}": "30", "T8_CLOSESPIDER_PER_JOB": "1", "CONCURRENT_REQUESTS": "1"}
    crawl.killed(0.8, "asking", paths=CARS, settings={**SPACED, **settings})
    first = len(crawl.hits())
    log = crawl.run("asking", paths=CARS, settings=settings)
    assert f"(closespider_{reason})" in log
    assert first < 30 <= len(crawl.hits()) <= 36
    log = crawl.run("asking", paths=CARS, settings=settings)
    assert f"(closespider_{reason})" in log
    assert len(crawl.hits()) <= 40


def test_limits_of_a_run(crawl: Crawl) -> None:
    settings = {"CLOSESPIDER_ITEMCOUNT": "20", "CONCURRENT_REQUESTS": "1"}
    for _ in range(2):
        assert "(closespider_itemcount)" in crawl.run("asking", paths=CARS, settings=settings)
    assert sum(crawl.items.values()) >= 40


@pytest.mark.parametrize("jar", ["", "mine"])
def test_cookies_survive_a_kill_and_expire_in_time(crawl: Crawl, jar: str) -> None:
    paths = ",".join(["visit/first", "visit/second", *(f"car/long-{n:03}" for n in range(40)), "visit/much-much-later"])
    settings = {**SPACED, "CONCURRENT_REQUESTS": "1"}
    crawl.killed(0.7, "asking", paths=paths, jar=jar, settings=settings)
    time.sleep(2.5)
    crawl.run("asking", paths=paths, jar=jar, settings=settings)
    found = cookies(crawl)
    assert found["/visit/first"] == {}
    assert set(found["/visit/second"]) == {"lasting", "brief", "session"}
    assert set(found["/visit/much-much-later"]) == {"lasting", "session"}
    # Another job has a session of its own.
    crawl.run("asking", paths="visit/again", jar=jar)
    assert cookies(crawl)["/visit/again"] == {}


def test_learned_delays(crawl: Crawl) -> None:
    settings = {"AUTOTHROTTLE_ENABLED": "1", "AUTOTHROTTLE_START_DELAY": "0.8", "AUTOTHROTTLE_DEBUG": "1"}
    crawl.set(delay=0.01)
    paths = ",".join(f"car/{n}" for n in range(300))
    crawl.killed(0, "asking", paths=paths, hits=40, settings=settings)
    learned = json.loads(kept(crawl, "delays"))["127.0.0.1"]
    assert learned < 0.4
    log = crawl.run("asking", paths=paths, settings=settings)
    first = next(line for line in log.splitlines() if "slot: 127.0.0.1" in line)
    assert int(first.split("delay:")[1].split("ms")[0]) < 450


def test_robots_txt_that_cannot_be_had_any_more(crawl: Crawl) -> None:
    settings = {"ROBOTSTXT_OBEY": "1", "CONCURRENT_REQUESTS": "1"}
    paths = ",".join([*(f"car/{n}" for n in range(100, 140)), "car/secret-and-long"])
    crawl.killed(0.6, "asking", paths=paths, settings={**SPACED, **settings})
    crawl.set(robotless=1)
    log = crawl.run("asking", paths=paths, settings=settings)
    assert "using the copy of an earlier run" in log
    assert "/car/secret-and-long" not in crawl.items
    assert len(crawl.items) == 40
    assert not any("secret" in path for _, path, _ in crawl.hits())
