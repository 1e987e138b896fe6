"""Failures come back: whole crawls against a site that fails in every way."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.deadletters import open_dead_letters
from scrapy_t8.model import Which

HERE = Path(__file__).parent
QUICK = {"T8_RETRY_BASE": "0.2", "T8_RETRY_CAP": "1", "T8_BREAKER_PROBE": "0.5", "T8_BREAKER_PROBE_CAP": "2"}
pytestmark = pytest.mark.slow


class Crawl:
    """A job, and the site that it crawls."""

    def __init__(self, work: Path, port: int) -> None:
        self.work = work
        self.url = f"http://127.0.0.1:{port}"

    def begin(self, *paths: str, env: dict[str, str] | None = None, **settings: Any) -> subprocess.Popen[str]:
        given = {
            "ADDONS": '{"scrapy_t8.T8Addon": 500}',
            "TELNETCONSOLE_ENABLED": "0",
            "JOBDIR": "job",
            "ITEM_PIPELINES": json.dumps({"spider.Pipeline": 1}),
            **QUICK,
            **settings,
        }
        words = [f"{name}={value}" for name, value in given.items()]
        options = [word for pair in words for word in ("-s", pair)]
        command = [sys.executable, "-m", "scrapy", "runspider", str(HERE / "spider.py"), "-o", "items.jsonl"]
        arguments = ["-a", f"site={self.url}", "-a", f"paths={','.join(paths)}"]
        return subprocess.Popen(
            [*command, *arguments, *options],
            cwd=self.work,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}", **(env or {})},
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *paths: str, **settings: Any) -> str:
        """Crawl to the end. Returns the log."""
        process = self.begin(*paths, **settings)
        _, self.log = process.communicate(timeout=100)
        assert "Traceback" not in self.log or settings.get("env"), self.log
        return self.log

    def killed(self, after: float, *paths: str, **settings: Any) -> None:
        process = self.begin(*paths, **settings)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    @property
    def items(self) -> Counter[str]:
        return Counter(json.loads(line)["path"] for line in (self.work / "items.jsonl").read_text().splitlines())

    @property
    def hits(self) -> list[tuple[float, str]]:
        with urllib.request.urlopen(f"{self.url}/hits") as answer:
            return [(when, path) for when, path in json.load(answer)]

    def books(self) -> dict[str, int]:
        """The ledger, with what waits and what is ready; balanced."""
        db = sqlite3.connect(self.work / "job/t8/state.db")
        record = json.loads(db.execute("SELECT record FROM job").fetchone()[0])
        ledger = record["ledger"]
        waiting = db.execute("SELECT count(*) FROM waiting").fetchone()[0]
        ready = db.execute("SELECT count(*) FROM entry").fetchone()[0]
        db.close()
        assert ledger["admitted"] == ledger["done"] + ledger["discarded"] + ledger["dead"] + waiting + ready
        return {**ledger, "waiting": waiting, "ready": ready, "finished": record["finished"]}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, str(HERE / "site.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as site:
        assert site.stdout is not None
        yield json.loads(site.stdout.readline())["port"]
        site.communicate()


@pytest.fixture
def crawl(port: int, tmp_path: Path) -> Crawl:
    return Crawl(tmp_path, port)


def both(*paths: str) -> Counter[str]:
    """The two items of each page."""
    return Counter(f"/{path}{part}" for path in paths for part in ("", "#second"))


def test_what_can_be_had_is_had(crawl: Crawl) -> None:
    good = ["ok/a", "flaky-3/a", "cut-2/a", "torn-1/a", "captcha-2/a", "ok/again"]
    bad = ["gone/a", "broken/a"]
    log = crawl.run(*good, *bad, T8_RETRY_CHECKS='["spider.no_captcha"]', T8_RETRY_KINDS='{"host": {"times": 4}}')
    assert "(finished)" in log
    assert crawl.items == both(*good)
    books = crawl.books()
    assert (books["done"], books["dead"], books["finished"]) == (len(good), len(bad), True)
    with open_dead_letters(crawl.work / "job") as letters:
        assert {(letter.kind, letter.status) for letter in letters.list()} == {("http", 404), ("host", 500)}
        broken = letters.list(Which(kind="host"))[0]
        whole = letters.get(broken.id)
        assert whole is not None
        assert "a stack trace" in str(whole.detail)
    assert Counter(path for _, path in crawl.hits)["/broken/a"] == 5


def test_retry_after_holds_for_the_whole_host(crawl: Crawl) -> None:
    crawl.run("later-2/b", *[f"ok/b{n}" for n in range(30)], CONCURRENT_REQUESTS=1)
    mine = [(when, path) for when, path in crawl.hits if "/b" in path]
    asked = next(when for when, path in mine if path == "/later-2/b")
    after = [when - asked for when, path in mine if when > asked]
    assert min(after) >= 1.99
    assert crawl.items == both("later-2/b", *[f"ok/b{n}" for n in range(30)])


def test_an_outage_costs_nobody_an_attempt(crawl: Crawl) -> None:
    urllib.request.urlopen(f"{crawl.url}/outage?seconds=6").read()
    paths = [f"down/{crawl.work.name}{n}" for n in range(40)]
    log = crawl.run(*paths, T8_RETRY_KINDS='{"host": {"times": 1}}')
    assert "seems to be down" in log
    assert "answers again" in log
    assert crawl.items == both(*paths)
    during = Counter(path for _, path in crawl.hits if crawl.work.name in path)
    assert sum(during.values()) < 40 + 16 + 8 + 10  # in flight when it opened, and a few probes


def test_kills_change_nothing(crawl: Crawl) -> None:
    name = crawl.work.name
    paths = [f"flaky-{n % 4}/{name}{n}" for n in range(60)] + [f"broken/{name}"]
    settings = {"T8_RETRY_KINDS": '{"host": {"times": 5}}', "DOWNLOAD_DELAY": "0.02"}
    for after in (1.0, 1.3, 1.6, 1.2, 1.9):
        crawl.killed(after, *paths, **settings)
        crawl.books()
    crawl.run(*paths, **settings)
    assert crawl.items == both(*paths[:-1])
    assert crawl.books()["dead"] == 1


def test_beyond_the_wait_it_is_left_to_the_next_run(crawl: Crawl) -> None:
    name = f"later-3/{crawl.work.name}"
    log = crawl.run("ok/c", name, T8_RETRY_WAIT="1")
    assert "(retries_waiting)" in log
    assert crawl.books()["waiting"] == 1
    time.sleep(2)
    assert "(finished)" in crawl.run("ok/c", name, T8_RETRY_WAIT="10")
    assert crawl.items == both("ok/c", name)


def test_a_bug_is_buried_and_mended(crawl: Crawl) -> None:
    paths = ["ok/bug", "ok/choke", "ok/drop", "ok/fine"]
    crawl.run(*paths, env={"BUG": "1", "CHOKE": "1"})
    assert crawl.books()["dead"] == 2
    assert crawl.items == both("ok/fine") + Counter({"/ok/bug": 1, "/ok/choke#second": 1, "/ok/drop#second": 1})
    with open_dead_letters(crawl.work / "job") as letters:
        assert {group.kind: group.count for group in letters.groups()} == {"parse": 1, "pipeline": 1}
        assert letters.revive(Which()) == 2
    assert crawl.books()["waiting"] == 2
    log = crawl.run(*paths)
    assert "(finished)" in log
    assert crawl.items == both("ok/bug", "ok/choke", "ok/fine") + Counter({"/ok/drop#second": 1})
    assert crawl.books()["dead"] == 0


def test_a_page_given_up_at_its_own_wish_leaves_nothing(crawl: Crawl) -> None:
    log = crawl.run("ok/never", "ok/f")
    assert crawl.items == both("ok/f")
    assert Counter(path for _, path in crawl.hits)["/ok/never"] == 4
    assert crawl.books()["dead"] == 1
    assert "Task buried" in log


def test_a_handler_does_the_retries_of_its_type(crawl: Crawl) -> None:
    log = crawl.run("flaky-9/by-hand", "ok/d", T8_RETRY_HANDLERS='{"BY_HAND": "spider.handled"}')
    calls = [json.loads(line)[1] for line in (crawl.work / "handled.jsonl").read_text().splitlines()]
    assert calls == [1, 2]
    assert "Task succeeded: BY_HAND_" in log
    assert crawl.items == both("ok/d")
    assert crawl.books()["done"] == 2


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"T8_RETRY_FACTOR": "0.5"}, "factor is 0.5, but must be at least 1"),
        ({"T8_RETRY_BASE": "-1"}, "base is -1.0, but must be seconds of at least 0"),
        ({"T8_RETRY_CAP": "0.1"}, "cap is 0.1, but must be seconds of at least the base"),
        ({"T8_RETRY_KINDS": '{"bann": {}}'}, "there is no kind of failure 'bann'"),
        ({"T8_RETRY_HANDLERS": '{"X": "spider.nothing"}'}, "T8_RETRY_HANDLERS"),
        ({"T8_RETRY_CHECKS": '["nowhere.nothing"]'}, "T8_RETRY_CHECKS"),
    ],
)
def test_what_makes_no_sense_is_refused(crawl: Crawl, settings: dict[str, str], told: str) -> None:
    log = crawl.run("ok/e", **settings)
    lines = [line for line in log.splitlines() if "CRITICAL" in line]
    assert len(lines) == 1
    assert told in lines[0]
