"""``start()`` runs to its end once, whatever stops the crawl."""

from __future__ import annotations

import json
from collections import Counter
from unittest.mock import ANY

import pytest
from scrapy import version_info

from scrapy_t8.core.offline.dead_letters import open_dead_letters
from scrapy_t8.model.dead_letter import LetterFilter
from tests.support.ledger import Committed

from .compare import Lab
from .test_done_reasons import report_of

pytestmark = pytest.mark.slow


def test_a_slow_start(lab: Lab) -> None:
    """Broken off again and again, it brings its requests and its items once. Traps 7, 20, 21."""
    lab.compare("patient", ("start 1", "start 3", "end of start"), ("item 1", "start 5", "p/5"))


def test_a_start_that_has_ended_is_not_run_again(lab: Lab) -> None:
    """Also if its last requests are still to be done. Trap 20."""
    crawl = lab.crawl("patient", last="held")
    assert crawl.site is not None
    # All is done but the page that is held: six pages, another one six times, and what their callbacks ask for.
    crawl.start().until(lambda: crawl.committed() == Committed(23, exported=ANY, start_done=True)).kill()
    crawl.site.release()
    crawl.finished()
    assert crawl.notes.count("start begins") == 1
    # Nor are the pages that were done and committed before the kill.
    assert [crawl.site.counts[f"/p/{number}"] for number in range(6)] == [1] * 6


def test_a_start_that_raises(lab: Lab) -> None:
    """Such a job has not finished, and continues when the spider is fixed."""
    plain, crawl = lab.crawl("raising", t8=False), lab.crawl("raising")
    reason = "start_error" if version_info >= (2, 18) else "finished"
    assert crawl.run().reason == plain.run().reason == reason
    assert crawl.lines == plain.lines
    assert not crawl.state().record["finished"]
    assert "start() was not read to its end" in crawl.last.log
    assert bool(crawl.last.complaints) == (reason == "finished"), "T8 contradicts Scrapy"
    crawl.finished(switch="fixed")
    assert crawl.lines == Counter(
        json.dumps(item) for number in range(5) for item in ({"page": f"p/{number}"}, {"start": number})
    )


def test_sitemap(lab: Lab) -> None:
    """Its start requests are filtered: a resumed crawl must not find all of them seen. Trap 20."""
    lab.compare("sitemap", ("p/5", "p/2"))


def test_rules(lab: Lab) -> None:
    lab.compare("rules", ("tree/6", "tree/9:1"))


def test_many_start_urls(lab: Lab) -> None:
    """Far more of them than a queue holds in memory, and a kill in the middle. Traps 1, 4, 20."""
    crawl = lab.crawl("many")
    crawl.killed("page:190", T8_COMMIT_PAGES=10)
    crawl.finished()
    assert crawl.lines == Counter(json.dumps({"page": f"{number}"}) for number in range(400))
    assert crawl.last.stats["response_received_count"] < 240


@pytest.mark.parametrize(
    ("value", "settings", "is_certain"),
    [
        ("time", {}, False),
        ("some", {}, True),
        ("none", {}, True),
        ("time", {"T8_ITEM_KEY": "start"}, True),
        ("time", {"T8_ITEM_KEY": "start", "T8_DEDUP": "off"}, False),
    ],
)
def test_items_of_start_that_differ_in_each_run_are_named(
    lab: Lab, value: str, settings: dict[str, str], is_certain: bool
) -> None:
    """They cannot be recognised without a key: the crawl is not complete, and says why."""
    crawl = lab.crawl("timed", value=value)
    crawl.stopped("start 3", **settings)
    crawl.finished(**settings)
    report = report_of(crawl)
    items = [json.loads(line) for line in crawl.lines.elements()]
    assert (sum("start" in item for item in items) == 6) is is_certain
    assert [entry["cause"] for entry in report["without_result"]["causes"]] == ([] if is_certain else ["item:again"])
    assert report["verdict"] == ("complete" if is_certain else "incomplete")


@pytest.mark.parametrize(("value", "is_certain"), [("time", False), ("none", True)])
def test_items_of_a_page_that_has_failed_and_differ_in_its_next_attempt_are_named(
    lab: Lab, value: str, is_certain: bool
) -> None:
    crawl = lab.crawl("fragile", value=value)
    crawl.run()
    with open_dead_letters(crawl.job) as letters:
        assert letters.revive(LetterFilter()) == 1
    crawl.run(switch="fixed")
    report = report_of(crawl)
    assert crawl.lines.total() == (3 if is_certain else 5)
    assert [entry["cause"] for entry in report["without_result"]["causes"]] == ([] if is_certain else ["item:again"])
    assert report["verdict"] == ("complete" if is_certain else "incomplete")


def test_a_pipeline_that_raises_as_it_closes(lab: Lab) -> None:
    """What the pipeline holds may be lost: the crawl is not complete, and names the pipeline."""
    crawl = lab.crawl("fragile", value="none", ITEM_PIPELINES={"spiders.start.DoesNotClose": 100})
    crawl.run(switch="fixed")
    (cause,) = report_of(crawl)["without_result"]["causes"]
    assert (cause["cause"], cause["count"]) == ("item:DoesNotClose", 1)
    assert "close_spider has raised OSError('the disk is full')" in crawl.last.log
    assert report_of(crawl)["verdict"] == "incomplete"


def test_items_of_start_that_are_slow_in_a_pipeline(lab: Lab) -> None:
    """The crawl waits for them, also if there is nothing else to do. Scrapy by itself does so since 2.18."""
    crawl = lab.crawl("offered", seconds="0.3")
    crawl.finished()
    assert crawl.lines == Counter(json.dumps({"start": number}) for number in range(12))
