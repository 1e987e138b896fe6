"""A pipeline that collects rows and has ``t8_commit`` is as safe as the feeds."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.crawl import Crawl

from .crawls import PROJECT

pytestmark = pytest.mark.slow
PAGES, ITEMS = 60, 3
ALL = {"start", *(f"{page}/{item}" for page in range(PAGES) for item in range(ITEMS))}
PIPELINES = ["batching.Batches", "batching.PlainBatches"]


def crawl(work: Path, pipeline: str = "batching.Batches", **more: Any) -> Crawl:
    # Pages come one after the other, so that there are several batches.
    settings = {"ITEM_PIPELINES": {pipeline: 300}, "T8_RETRY_BASE": 0.01, "DOWNLOAD_DELAY": 0.02, **more}
    return Crawl(PROJECT, None, work, "batching", **settings)


def rows(work: Path) -> set[str]:
    """Return the keys of the rows in the database of the pipeline."""
    with closing(sqlite3.connect(work / "rows.db")) as db:
        return {key for (key,) in db.execute("SELECT key FROM rows")}


def exported(made: Crawl) -> Counter[str]:
    return made.values("id")


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("place", ["before the write", "after the write"])
def test_no_row_is_missing_after_kills(tmp_path: Path, pipeline: str, place: str) -> None:
    made = crawl(tmp_path, pipeline)
    made.killed(f"{place}:1")
    for number in (2, 1, 3):
        if not made.dies(f"{place}:{number}"):
            break
        assert set(exported(made)) <= rows(tmp_path)
    else:
        made.finished()
    assert rows(tmp_path) == ALL
    assert exported(made) == Counter(ALL)
    assert "if it writes them later" not in made.last.log


def test_pages_that_are_done_have_their_rows(tmp_path: Path) -> None:
    made = crawl(tmp_path)
    run = made.stopped("page:35")
    assert rows(tmp_path) == set(exported(made))
    assert len(rows(tmp_path)) >= 34 * ITEMS
    assert not run.complaints
    assert made.notes[-1] == "closes with 0 rows"
    made.finished()
    assert rows(tmp_path) == ALL
    assert len(made.pages) == PAGES


def test_a_batch_that_fails_is_not_done(tmp_path: Path) -> None:
    made = crawl(tmp_path)
    run = made.run(switch="bug")
    assert run.reason == "finished"
    letters = made.letters()
    assert set(letters) == {"pipeline"}
    assert len(exported(made)) + ITEMS * letters["pipeline"] in (len(ALL), len(ALL) - 1)
    assert run.lines("batching.Batches.t8_commit has raised ValueError('no such column: price')")
    assert run.stats["t8/exit_status"] == 3
    made.run(T8_REVIVE_ON_CODE_CHANGE=False)


def test_an_outage_holds_the_crawl_and_loses_nothing(tmp_path: Path) -> None:
    made = crawl(tmp_path)
    run = made.run(switch="outage")
    assert run.reason == "finished"
    assert len(run.lines("the database is away")) == 1
    assert run.lines("The item pipelines can commit again")
    assert rows(tmp_path) == ALL
    assert exported(made) == Counter(ALL)
    assert not made.letters()
    made.check_ledger()


def test_a_stop_does_not_wait_for_a_commit_that_hangs(tmp_path: Path) -> None:
    made = crawl(tmp_path, T8_STOP_GRACE=0.5)
    run = made.stopped("it hangs", switch="hangs")
    assert run.lines("again in the next run: the item pipelines have not committed")
    assert set(exported(made)) <= rows(tmp_path) < ALL
    made.finished(T8_STOP_GRACE=600)
    assert rows(tmp_path) == ALL
    assert exported(made) == Counter(ALL)
