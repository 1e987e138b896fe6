"""User code: bugs, RetryPage, response checks, retry handlers."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest

from scrapy_t8.core.offline.dead_letters import open_dead_letters
from scrapy_t8.model.dead_letter import LetterFilter
from tests.support.command import T8
from tests.support.crawl import Crawl

from .pages import asked, balanced, both, items, run

pytestmark = pytest.mark.slow


def test_a_page_buried_for_a_bug_succeeds_once_the_bug_is_fixed(crawl: Crawl) -> None:
    paths = ["ok/bug", "ok/choke", "ok/drop", "ok/fine"]
    run(crawl, *paths, switch="bug,choke")
    assert balanced(crawl).ledger["dead"] == 2
    assert items(crawl) == both("ok/fine") + Counter({"/ok/bug": 1, "/ok/choke#second": 1, "/ok/drop#second": 1})
    with open_dead_letters(crawl.job) as letters:
        assert {group.kind: group.count for group in letters.groups()} == {"parse": 1, "pipeline": 1}
        assert letters.revive(LetterFilter()) == 2
    assert balanced(crawl).waiting == 2
    log = run(crawl, *paths).log
    assert "(finished)" in log
    assert items(crawl) == both("ok/bug", "ok/choke", "ok/fine") + Counter({"/ok/drop#second": 1})
    assert balanced(crawl).ledger["dead"] == 0


def test_letters_are_revived_when_the_spiders_code_has_changed(crawl: Crawl) -> None:
    """The next run finds that the bug is fixed, and tries the pages again that failed by it."""
    crawl.project = shutil.copytree(crawl.project, crawl.work / "project")
    run(crawl, "ok/bug", "ok/g", switch="bug")
    assert crawl.letters() == {"parse": 1}
    assert "are revived" not in run(crawl, "ok/bug", "ok/g", switch="bug").log
    assert items(crawl) == both("ok/g", "ok/g") + Counter({"/ok/bug": 2})
    code = crawl.project / "failing.py"
    code.write_text(code.read_text() + "# fixed\n")
    log = run(crawl, "ok/bug", "ok/g").log
    # Both jobs had finished, so that this is a third one. Its feed has the page once.
    assert "The spider's code has changed: 1 request that was given up is tried again" in log
    assert items(crawl) == both("ok/g", "ok/g", "ok/g", "ok/bug") + Counter({"/ok/bug": 2})
    assert crawl.letters() == {}


def test_a_page_that_is_given_up_exports_no_items(crawl: Crawl, capsys: pytest.CaptureFixture[str]) -> None:
    log = run(crawl, "ok/never", "ok/f").log
    assert items(crawl) == both("ok/f")
    assert asked(crawl)["/ok/never"] == 4
    assert balanced(crawl).ledger["dead"] == 1
    assert "Request given up after 4 tries: <GET " in log
    t8 = T8(capsys)
    assert t8("heal", "--jobdir", crawl.job) == 0
    assert "There is nothing to heal.\n1 request was given up: scrapy t8 failed groups" in t8.out


@pytest.mark.parametrize("where", ["meta", "spider", "setting"])
def test_a_check_turns_an_answer_into_a_failure(crawl: Crawl, where: str) -> None:
    good, bad = ["captcha-2/x", "ok/h"], "captcha-9/for-ever"
    setting = {
        "setting": {"T8_RETRY_CHECKS": '["failing.no_captcha"]'},
        # What is stored names only code that the settings name.
        "meta": {"T8_REQUEST_CHECKS": '["failing.no_captcha"]'},
    }.get(where, {})
    run(crawl, *good, bad, switch=f"check in {where}", **setting)
    assert items(crawl) == both(*good)
    assert crawl.letters() == {"ban": 1}
    assert asked(crawl) == {"/captcha-2/x": 3, "/ok/h": 1, "/captcha-9/for-ever": 4}


@pytest.mark.parametrize("where", ["setting", "spider"])
def test_a_handler_retries_the_tasks_of_its_type(crawl: Crawl, where: str) -> None:
    setting = {"T8_RETRY_HANDLERS": '{"BY_HAND": "failing.handled"}'} if where == "setting" else {}
    log = run(crawl, "flaky-9/by-hand", "ok/d", switch=f"handler in {where}", **setting).log
    calls = [json.loads(line)[1] for line in (crawl.work / "handled.jsonl").read_text().splitlines()]
    assert calls == [1, 2]
    assert "Retry succeeded: <" in log
    assert items(crawl) == both("ok/d")
    assert balanced(crawl).ledger["done"] == 2


@pytest.mark.parametrize("way", ["hangs", "hangs_async", "crashes"])
def test_a_handler_that_hangs_or_crashes_affects_no_other_request(crawl: Crawl, way: str) -> None:
    handlers = json.dumps({"BY_HAND": f"failing.{way}"})
    others = [f"flaky-2/{n}" for n in range(5)]
    settings = {"T8_RETRY_HANDLER_TIMEOUT": "0.5", "T8_RETRY_KINDS": '{"host": {"times": 2}}'}
    log = run(crawl, "broken/by-hand", *others, T8_RETRY_HANDLERS=handlers, **settings).log
    assert "(finished)" in log
    assert items(crawl) == both(*others)
    assert crawl.letters() == {"host": 1}
    with open_dead_letters(crawl.job) as letters:
        assert "the retry handler" in letters.list()[0].error
