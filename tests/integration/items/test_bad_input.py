"""Wrong settings and strange items: one clear line, a defined behaviour, nothing lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import read_report, write_report
from scrapy_t8.errors import JobError, StoreError, WriteError

from .crawls import crawl

pytestmark = pytest.mark.slow
PAGES = [[{"id": 1, "value": 5}], [{"value": 6}, {"id": "", "value": 7}]]


def test_an_item_without_its_key_is_kept_and_reported_once(tmp_path: Path) -> None:
    run = crawl(tmp_path, [*PAGES, PAGES[1]], T8_ITEM_KEY="id")
    assert run.counts == {"scraped": 5, "exported": 5}
    assert run.log.count("has no key: it has no 'id'") == 1


def test_keys_that_are_huge_or_cannot_be_hashed(tmp_path: Path) -> None:
    huge = ["x" * 300_000 + end for end in "ab"]
    strange: list[Any] = [[1, {"a": [2]}], {"b": 1, "a": 2}, {"a": 2, "b": 1}, 1.5]
    pages = [[{"id": key} for key in keys] for keys in (huge, strange, strange)]
    run = crawl(tmp_path, pages, T8_ITEM_KEY="id", URLLENGTH_LIMIT=0)
    assert run.counts == {"scraped": 10, "exported": 5, "duplicate": 5}
    assert len((tmp_path / "job/report/report.json").read_text()) < 100_000


def test_a_key_function_that_raises_is_reported(tmp_path: Path) -> None:
    run = crawl(tmp_path, PAGES, T8_ITEM_KEY="given.bad_key")
    assert len(run.items) == 3
    assert "its key cannot be computed: ZeroDivisionError" in run.log


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("T8_ITEM_KEY", "no.such.thing", "T8_ITEM_KEY names 'no.such.thing', which cannot be loaded"),
        ("T8_ITEM_KEY", "[1", "T8_ITEM_KEY is '[1', which is not JSON"),
        ("T8_DEDUP_POLICY", "best", "T8_DEDUP_POLICY is 'best', but must be one of first, last, changed"),
        ("T8_ITEM_SCHEMA", '{"dict": {"type": "nonsense"}}', "T8_ITEM_SCHEMA"),
        ("T8_ITEM_SCHEMA", '{"dict": "missing.json"}', "missing.json"),
        ("T8_REQUIRED_FIELDS", "[5]", "T8_REQUIRED_FIELDS is [5], but must be a list of names of fields"),
        ("T8_FIELD_COVERAGE", '{"value": 90}', "T8_FIELD_COVERAGE"),
        ("T8_ALERT_THRESHOLDS", '{"failed_task_ratio": 10}', "T8_ALERT_THRESHOLDS"),
        ("T8_ALERT_THRESHOLDS", '{"failed_tasks": 0.1}', "failed_tasks"),
        ("T8_ALERT_ITEMS_DROP", "-1", "T8_ALERT_ITEMS_DROP is -1.0, but must be a part from 0 to 1"),
        ("T8_NOTIFY_URLS", '["nonsense://user:geheim@x"]', "T8_NOTIFY_URLS"),
        ("T8_VALIDATOR", "given.Obedient", "T8_VALIDATOR names 'given.Obedient', which is not a subclass"),
        ("T8_EXPECT_FILE", "none.txt", "T8_EXPECT_FILE names 'none.txt', and there is no such file"),
    ],
)
def test_a_setting_that_is_wrong_stops_the_crawl_before_it_begins(
    tmp_path: Path, setting: str, value: str, message: str
) -> None:
    run = crawl(tmp_path, PAGES, **{setting: value})
    assert run.code == 1
    assert message in run.log
    assert "Traceback" not in run.log
    assert "geheim" not in run.log.split("Overridden settings")[0]
    assert not run.items
    assert not (tmp_path / "job/report").exists()


def test_the_crawl_starts_once_the_setting_is_valid(tmp_path: Path) -> None:
    crawl(tmp_path, PAGES, T8_VALIDATOR="given.Obedient")
    run = crawl(tmp_path, PAGES)
    assert len(run.items) == 3
    assert run.report["verdict"] == "complete"


def test_a_report_that_cannot_be_written_does_not_fail_the_crawl(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    run = crawl(tmp_path, PAGES, T8_REPORT_DIR="taken")
    assert run.code == 0
    assert "The report is only in this log: the report cannot be written to taken" in run.log
    assert "Traceback" not in run.log
    assert len(run.items) == 3


def test_integrity_check_and_dedup_off(tmp_path: Path) -> None:
    run = crawl(tmp_path, PAGES, T8_ENABLE_INTEGRITY_CHECK="0", T8_DEDUP="off")
    assert len(run.items) == 3
    assert not (tmp_path / "job/report").exists()
    assert "Integrity report" not in run.log


def test_a_report_on_demand_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no job in"):
        read_report(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    crawl(tmp_path, PAGES)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WriteError, match="the report cannot be written to") as caught:
        write_report(tmp_path / "job", tmp_path / "taken")
    assert "\n" not in str(caught.value)
    for broken in (b"{", b"\xff", b"[]", b'{"job": 1}'):
        (tmp_path / "job/report/report.json").write_bytes(broken)
        assert read_report(tmp_path / "job")["verdict"] == "complete"
    (tmp_path / "job/t8/state.db").write_bytes(b"no database")
    with pytest.raises(StoreError):
        read_report(tmp_path / "job")
    assert (tmp_path / "job/t8/state.db").read_bytes() == b"no database"


def test_unpaired_surrogates_lose_nothing(tmp_path: Path) -> None:
    half = "half \ud83d"
    pages = [[{"id": half, half: half, "value": 1}, {"id": half + "2", "do": "drop"}], [{"id": half, "value": 2}]]
    schema = {"properties": {"id": {"type": "integer"}}}
    run = crawl(tmp_path, pages, T8_ITEM_KEY="id", T8_ITEM_SCHEMA={"dict": schema})
    assert run.counts == {"scraped": 3, "exported": 1, "duplicate": 1, "dropped": 1}
    assert run.report["validation"]["invalid"] == 1
    assert "half \\\\ud83d" in (tmp_path / "job/report/report.json").read_text(encoding="utf-8")
