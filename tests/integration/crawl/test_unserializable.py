"""Requests without a stored form: nothing is lost or doubled, and the user is warned, once."""

from __future__ import annotations

import pytest

from tests.support.releases import prompt_callbacks

from .compare import Lab

pytestmark = pytest.mark.slow


def test_requests_that_run_from_memory(lab: Lab) -> None:
    """A page waits for what it has in memory; a crash brings the page back, whole and once. Trap 27."""
    lab.compare(
        "memory",
        ("slow/80/lambda", "slow/150/partial-nested"),
        ("p/start", "in_turn/503,200/live", "slow/150/live-nested"),
        ("p/live-redirected", "slow/150/lambda-unfiltered-nested:2"),
    )


def test_one_warning_for_each_kind(lab: Lab) -> None:
    """It names the callback, the key and the remedy."""
    crawl = lab.crawl("three_loaders")
    warnings = crawl.finished().lines("cannot be stored")
    assert len(warnings) == 2
    meta, function = sorted(warnings, key=lambda line: "lambda" in line)
    for part in ("WARNING", "ThreeLoaders.from_meta", "meta['deep'][0]['loader']", "Live", "plain values"):
        assert part in meta
    for part in ("WARNING", "ThreeLoaders.mother.<locals>.<lambda>", "callback", "Use a method of the spider"):
        assert part in function


def test_a_chain_from_memory_back_to_start_is_named_once(lab: Lab) -> None:
    """The line has the first request of the chain, what it costs and the way out."""
    crawl = lab.crawl("chain")
    (line,) = crawl.finished().lines("back to start()") or [""]
    for part in ("WARNING", "it begins at its first request again", "/p/0> (the default callback) cannot be stored"):
        assert part in line
    for part in ("meta['browser']['page']", "Live", "Use a method of the spider", "T8_STORED_CLASSES"):
        assert part in line
    assert len(crawl.items) == 6


def test_a_chain_from_memory_that_begins_at_a_stored_page_is_not(lab: Lab) -> None:
    crawl = lab.crawl("chain")
    run = crawl.finished(switch="anchored")
    assert run.lines("The request runs from memory")
    assert not run.lines("back to start()")


def test_unserializable_is_an_error(lab: Lab) -> None:
    """T8_UNSERIALIZABLE=error stops the crawl, and the corrected spider goes on with nothing lost. Traps 3, 11."""
    plain = lab.crawl("three_loaders", t8=False)
    crawl = lab.crawl("three_loaders", T8_UNSERIALIZABLE="error")
    run = crawl.run()
    assert run.reason == "t8_unserializable"
    (complaint,) = run.complaints
    assert "meta['deep'][0]['loader']" in complaint
    crawl.finished(switch="corrected")
    plain.finished(switch="corrected")
    assert crawl.lines == plain.lines


@prompt_callbacks
def test_pickle_where_it_is_allowed(lab: Lab) -> None:
    """T8_ALLOW_PICKLE stores what only pickle can; without it such a request is buried, never loaded."""
    plain, *_, (crawl,) = _pickled(lab)
    assert crawl.last.lines("cannot be stored") == []
    refused = lab.crawl("pickled", T8_ALLOW_PICKLE="true")
    refused.stopped("slow/80/1")
    run = refused.run(T8_ALLOW_PICKLE="false")
    assert run.reason == "finished"
    dead = refused.query("SELECT kind, error FROM dead")
    assert dead
    assert {kind for kind, _ in dead} == {"payload"}
    assert all("T8_ALLOW_PICKLE is off" in error for _, error in dead)
    assert len(dead) + len(refused.lines) // 2 == len(plain.lines) // 2


def test_pickle_that_fails(lab: Lab) -> None:
    """Whatever goes wrong when a request is stored, it runs. Traps 3, 27."""
    comparison = lab.compare("unwilling", ("slow/80/1",), T8_ALLOW_PICKLE="true")
    (warning,) = comparison.calm.last.lines("cannot be stored")
    assert "meta['grumpy']" in warning


def _pickled(lab: Lab) -> tuple:
    comparison = lab.compare("pickled", ("slow/80/1", "slow/80/2"), T8_ALLOW_PICKLE="true")
    return comparison.plain, comparison.calm, comparison.broken
