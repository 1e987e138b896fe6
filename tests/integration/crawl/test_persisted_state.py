"""What Scrapy forgets at a kill, and T8 does not: ``spider.state``, statistics, limits, cookies, delays, robots.txt."""

from __future__ import annotations

import json
import re
from typing import Any

import msgpack
import pytest

from scrapy_t8.components.extensions.stats import merged
from scrapy_t8.model.codec import Codec
from tests.support import ledger
from tests.support.crawl import Crawl
from tests.support.releases import prompt_callbacks
from tests.support.site import Server

pytestmark = pytest.mark.slow
CARS = ",".join(f"car/{n}" for n in range(60))
ONE_BY_ONE = {"CONCURRENT_REQUESTS": 1, "T8_COMMIT_PAGES": 1}
"""At a kill in the callback of a page, nearly all pages before it are committed."""


def state(crawl: Crawl) -> dict[str, Any]:
    found: dict[str, Any] = Codec().decode_item(ledger.kept(crawl.state_file, "spider.state"))
    return found


def test_the_state_of_the_spider_survives_a_kill(crawl: Crawl) -> None:
    crawl.killed("page:20", "asking", paths=CARS, **ONE_BY_ONE)
    before = state(crawl)
    assert before["pages"] >= 10
    assert isinstance(before["seen"], set)
    crawl.run("asking", paths=CARS)
    after = state(crawl)
    assert len(after["seen"]) == 60
    assert after["pages"] == 60
    assert not (crawl.work / "job/spider.state").exists()


def test_a_counter_is_exact_although_pages_were_in_the_pipelines_at_kills(crawl: Crawl) -> None:
    settings = {"ITEM_PIPELINES": json.dumps({"spiders.asking.Slow": 1}), "CONCURRENT_REQUESTS": 8}
    for point in ("page:25", "page:15", "page:12"):
        crawl.killed(point, "asking", paths=CARS, **settings)
    run = crawl.run("asking", paths=CARS, **settings)
    assert state(crawl)["pages"] == run.stats["pages"] == 60
    assert set(crawl.values("slug").values()) == {1}


def test_a_state_that_cannot_be_stored_is_reported_by_its_key(crawl: Crawl) -> None:
    log = crawl.run("asking", paths="car/1,car/odd,car/3").log
    assert log.count("spider.state['odd'] cannot be stored") == 1
    assert state(crawl)["pages"] == 3


def test_statistics_of_all_runs(crawl: Crawl) -> None:
    crawl.killed("page:20", "asking", paths=CARS, **ONE_BY_ONE)
    run = crawl.run("asking", paths=CARS, T8_JOB_STATS="1")
    totals = merged(*(msgpack.unpackb(ledger.kept(crawl.state_file, f"totals:{part}")) for part in ("before", "now")))
    assert totals["item_scraped_count"] >= 60
    assert run.stats["t8/job/item_scraped_count"] == totals["item_scraped_count"]
    assert run.stats["item_scraped_count"] < 60


@pytest.mark.parametrize(
    ("limit", "reason"), [pytest.param("ITEMCOUNT", "itemcount", marks=prompt_callbacks), ("PAGECOUNT", "pagecount")]
)
def test_limits_of_a_job(crawl: Crawl, limit: str, reason: str) -> None:
    assert crawl.site is not None
    settings = {f"CLOSESPIDER_{limit}": 30, "T8_CLOSESPIDER_PER_JOB": "1", **ONE_BY_ONE}
    crawl.killed("page:12", "asking", paths=CARS, **settings)
    first = len(crawl.site.hits)
    run = crawl.run("asking", paths=CARS, **settings)
    assert run.reason == f"closespider_{reason}"
    assert first < 30 <= len(crawl.site.hits) <= 36
    run = crawl.run("asking", paths=CARS, **settings)
    assert run.reason == f"closespider_{reason}"
    assert len(crawl.site.hits) <= 40


def test_limits_of_a_run(crawl: Crawl) -> None:
    for _ in range(2):
        run = crawl.run("asking", paths=CARS, CLOSESPIDER_ITEMCOUNT=20, CONCURRENT_REQUESTS=1)
        assert run.reason == "closespider_itemcount"
    assert len(crawl.items) >= 40


@pytest.mark.parametrize("jar", ["", "mine"])
def test_cookies_survive_a_kill_and_expire_in_time(crawl: Crawl, jar: str) -> None:
    paths = ",".join(["visit/first", "visit/second", *(f"car/{n}" for n in range(40)), "visit/much-later"])
    crawl.killed("page:12", "asking", paths=paths, jar=jar, **ONE_BY_ONE)
    crawl.run("asking", paths=paths, jar=jar, switch="an hour later")
    found = {item["slug"]: item.get("cookies") for item in crawl.items}
    assert found["/visit/first"] == {}
    assert set(found["/visit/second"]) == {"lasting", "brief", "session"}
    assert set(found["/visit/much-later"]) == {"lasting", "session"}
    # Another job has a session of its own.
    crawl.run("asking", paths="visit/again", jar=jar)
    assert crawl.items[-1] == {"slug": "/visit/again", "cookies": {}}


def test_learned_delays(crawl: Crawl) -> None:
    """The second run begins with the delay that the first one has learned, not with the one that is set."""
    settings = {"AUTOTHROTTLE_ENABLED": "1", "AUTOTHROTTLE_START_DELAY": 1, "AUTOTHROTTLE_MAX_DELAY": 0.2}
    paths = ",".join(f"car/{n}" for n in range(300))

    def delay() -> float | None:
        rows = ledger.live(crawl.state_file, "SELECT data FROM kept WHERE name = 'delays'")
        found: float | None = json.loads(rows[0][0]).get("127.0.0.1") if rows else None
        return found

    run = crawl.start("asking", paths=paths, AUTOTHROTTLE_DEBUG="1", **settings)
    run.until(lambda: (delay() or 1) <= 0.2, "a learned delay").kill()
    learned = delay()
    assert learned is not None
    run = crawl.start("asking", paths=paths, AUTOTHROTTLE_DEBUG="1", **settings).until_log("slot: 127.0.0.1")
    first = re.search(r"slot: 127\.0\.0\.1 .*delay: *(\d+) ms \(([-+]\d+)\)", run.log)
    run.kill()
    assert first is not None
    assert abs(int(first[1]) - int(first[2]) - learned * 1000) <= 2


def test_robots_txt_that_cannot_be_fetched_any_more(
    crawl: Crawl, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert crawl.site is not None
    paths = ",".join([*(f"car/{n}" for n in range(40)), "car/secret"])
    crawl.killed("page:12", "asking", paths=paths, ROBOTSTXT_OBEY="1", **ONE_BY_ONE)
    monkeypatch.setattr(server, "robots", "")
    log = crawl.run("asking", paths=paths, ROBOTSTXT_OBEY="1").log
    assert "using the copy of an earlier run" in log
    assert set(crawl.values("slug")) == {f"/car/{n}" for n in range(40)}
    assert not any("secret" in hit.path for hit in crawl.site.hits)


def test_robots_txt_holds_for_all_requests_that_wait_for_it(crawl: Crawl) -> None:
    """Of several requests at once, plain Scrapy allows all but the first everything."""
    assert crawl.site is not None
    paths = ",".join([*(f"car/{n}" for n in range(20)), *(f"car/secret/{n}" for n in range(5))])
    reverse = ",".join(reversed(paths.split(",")))
    crawl.killed("page:5", "asking", paths=reverse, ROBOTSTXT_OBEY="1", CONCURRENT_REQUESTS=8)
    finished = crawl.finished("asking", paths=reverse, ROBOTSTXT_OBEY="1", CONCURRENT_REQUESTS=8)
    assert not any("robots.txt" in line for line in finished.at("WARNING"))
    assert not any("secret" in hit.path for hit in crawl.site.hits)
    assert set(crawl.values("slug")) == {f"/car/{n}" for n in range(20)}
