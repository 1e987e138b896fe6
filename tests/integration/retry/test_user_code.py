"""What the user's own code makes of a page: bugs, wishes, checks, handlers."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from scrapy_t8.core.offline.dead_letters import open_dead_letters
from scrapy_t8.model.dead_letter import LetterFilter

from .harness import Crawl, both

pytestmark = pytest.mark.slow


def test_a_bug_is_buried_and_mended(crawl: Crawl) -> None:
    paths = ["ok/bug", "ok/choke", "ok/drop", "ok/fine"]
    crawl.run(*paths, env={"BUG": "1", "CHOKE": "1"})
    assert crawl.books()["dead"] == 2
    assert crawl.items == both("ok/fine") + Counter({"/ok/bug": 1, "/ok/choke#second": 1, "/ok/drop#second": 1})
    with open_dead_letters(crawl.work / "job") as letters:
        assert {group.kind: group.count for group in letters.groups()} == {"parse": 1, "pipeline": 1}
        assert letters.revive(LetterFilter()) == 2
    assert crawl.books()["waiting"] == 2
    log = crawl.run(*paths)
    assert "(finished)" in log
    assert crawl.items == both("ok/bug", "ok/choke", "ok/fine") + Counter({"/ok/drop#second": 1})
    assert crawl.books()["dead"] == 0


def test_changed_code_gets_another_try(crawl: Crawl) -> None:
    """The next run finds the bug mended, and takes up what fell victim to it."""
    log = crawl.run("ok/bug", "ok/g", env={"BUG": "1"}, script="buggy.py")
    assert crawl.letters() == {"parse": 1}
    assert "are revived" not in crawl.run("ok/bug", "ok/g", env={"BUG": "1"}, script="buggy.py")
    assert crawl.items == both("ok/g", "ok/g") + Counter({"/ok/bug": 2})
    (crawl.work / "buggy.py").write_text((crawl.work / "buggy.py").read_text() + "# mended\n")
    log = crawl.run("ok/bug", "ok/g", script="buggy.py")
    # Both jobs had finished, so that this is a third one. Its feed has the page once.
    assert "The spider's code has changed: 1 dead letters are revived" in log
    assert crawl.items == both("ok/g", "ok/g", "ok/g", "ok/bug") + Counter({"/ok/bug": 2})
    assert crawl.letters() == {}


def test_a_page_given_up_at_its_own_wish_leaves_nothing(crawl: Crawl) -> None:
    log = crawl.run("ok/never", "ok/f")
    assert crawl.items == both("ok/f")
    assert Counter(path for _, path in crawl.hits)["/ok/never"] == 4
    assert crawl.books()["dead"] == 1
    assert "Request buried" in log


@pytest.mark.parametrize("where", ["meta", "spider", "setting"])
def test_a_check_turns_an_answer_into_a_failure(crawl: Crawl, where: str) -> None:
    name = crawl.work.name
    good, bad = [f"captcha-2/{name}", "ok/h"], f"captcha-9/{name}-for-ever"
    setting = {"T8_RETRY_CHECKS": '["spider.no_captcha"]'} if where == "setting" else {}
    crawl.run(*good, bad, env={"CHECK": where}, **setting)
    assert crawl.items == both(*good)
    assert crawl.letters() == {"ban": 1}
    assert Counter(path for _, path in crawl.hits_of_mine()) == {f"/{good[0]}": 3, f"/{bad}": 4}


@pytest.mark.parametrize("where", ["setting", "spider"])
def test_a_handler_does_the_retries_of_its_type(crawl: Crawl, where: str) -> None:
    setting = {"T8_RETRY_HANDLERS": '{"BY_HAND": "spider.handled"}'} if where == "setting" else {}
    log = crawl.run("flaky-9/by-hand", "ok/d", env={"HANDLER": where}, **setting)
    calls = [json.loads(line)[1] for line in (crawl.work / "handled.jsonl").read_text().splitlines()]
    assert calls == [1, 2]
    assert "Retry succeeded: BY_HAND_" in log
    assert crawl.items == both("ok/d")
    assert crawl.books()["done"] == 2


@pytest.mark.parametrize("way", ["hangs", "hangs_async", "crashes"])
def test_a_handler_that_hangs_or_crashes_harms_nothing_else(crawl: Crawl, way: str) -> None:
    handlers = json.dumps({"BY_HAND": f"spider.{way}"})
    others = [f"flaky-2/{crawl.work.name}{n}" for n in range(5)]
    settings = {"T8_RETRY_HANDLER_TIMEOUT": "0.5", "T8_RETRY_KINDS": '{"host": {"times": 2}}'}
    log = crawl.run("broken/by-hand", *others, T8_RETRY_HANDLERS=handlers, **settings)
    assert "(finished)" in log
    assert crawl.items == both(*others)
    assert crawl.letters() == {"host": 1}
    with open_dead_letters(crawl.work / "job") as letters:
        assert "the retry handler" in letters.list()[0].error
