"""The report reads what the components of a crawl have stored, under the names that they store it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgpack
import pytest

from scrapy_t8 import read_report
from scrapy_t8.core.items import coverage, problems, tracker
from scrapy_t8.core.items.coverage import Coverage, shape_of
from scrapy_t8.core.items.ledger import DUPLICATES
from scrapy_t8.core.items.problems import ProblemCounter
from scrapy_t8.core.items.statistics import OUTCOMES
from scrapy_t8.core.retry.breaker import Breaker, Evidence
from scrapy_t8.errors import JobError
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.items import ItemLoss
from scrapy_t8.model.job import JobRecord
from scrapy_t8.pipelines.validation import T8ValidationPipeline
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.log import mask


def test_the_report_shows_what_components_have_stored(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    job = JobRecord("job", "shop", {}, 1.0)
    store.begin_job(job)
    store.begin_run(2.0, 5)
    counted, found, breaker = (
        Coverage(store),
        ProblemCounter(store),
        Breaker(failures=1, probe=10.0, longest=60.0, give_up=3600.0),
    )
    counted.count(shape_of({"name": "bmw", "price": None}))
    found.add([("required", "dict", "price", "is missing")], "bmw")
    breaker.failed("down.example", Evidence(7), 3.0)
    breaker.pause("paused.example", 9.0)
    job.ledger.duplicate = 1
    batch = CommitBatch(
        hosts=breaker.dump(),
        losses=[ItemLoss("dropped", T8ValidationPipeline.__qualname__, "is missing", 2)],
        tally={(OUTCOMES, "succeeded"): 3, ("host/done", "down.example"): 5},
        kept={**counted.dump(), **found.dump(), DUPLICATES: msgpack.packb([("bmw", ["price"])])},
    )
    store.commit(batch, job, 4.0)
    store.close()
    report = read_report(tmp_path)
    assert report["coverage"] == [{"item": "dict", "count": 1, "fields": {"name": 1.0}}]
    assert [row["examples"] for row in report["validation"]["problems"]] == [["bmw"]]
    assert report["validation"]["invalid"] == 2
    assert report["duplicates"] == {
        "count": 1,
        "changed": 0,
        "again": 0,
        "examples": [{"key": "bmw", "fields": ["price"]}],
    }
    assert report["retry_outcomes"] == {"succeeded": 3, "buried": 0, "not_retried": 0}
    assert {row["host"]: row["open_since"] for row in report["hosts"]} == {
        "down.example": "1970-01-01T00:00:03+00:00",
        "paused.example": None,
    }


def test_stored_names_are_a_format() -> None:
    """State files of earlier releases have these names in them. A class or constant may be renamed, its value not."""
    assert T8ValidationPipeline.__qualname__ == tracker.VALIDATION
    names = (coverage.KEPT, problems.KEPT, DUPLICATES, OUTCOMES, mask.KEPT, tracker.VALIDATION)
    assert names == ("coverage", "problems", "duplicates", "outcomes", "report:mask", "T8ValidationPipeline")


def test_a_state_in_which_no_job_has_begun(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    store.close()
    with pytest.raises(JobError, match=f"there is no job in {tmp_path}: give the JOBDIR"):
        read_report(tmp_path)


def test_a_crawl_loads_nothing_that_only_its_end_needs() -> None:
    late = "report.document report.files report.html report.charts report.missing report.notify report.summary"
    modules = [*(f"scrapy_t8.{name}" for name in late.split()), "scrapy_t8.stores.reader.reader"]
    modules += ["scrapy_t8.validation.validator", "statistics", "jinja2", "apprise", "rich", "jsonschema"]
    code = f"import sys, scrapy_t8.addon; print([name for name in {modules} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
