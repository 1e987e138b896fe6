"""Missing items are collected by healing; files, sitemaps and earlier jobs say what is expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8 import heal, read_report
from scrapy_t8.errors import JobError
from tests.support.crawl import Crawl
from tests.support.site import Site

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).parent / "project"


def crawl(work: Path, spider: str, *, fixed: bool = False, **values: Any) -> str:
    """Run a spider to its end. Returns the log."""
    run = Crawl(PROJECT, None, work).run(spider, switch="fixed" if fixed else "", **values)
    assert run.code == 0, run.log
    return run.log


def items(work: Path) -> list[str]:
    return sorted(json.loads(line)["id"] for line in (work / "items.jsonl").read_text().splitlines())


def hits(work: Path) -> list[str]:
    lines = sorted((work / "hits").read_text().split())
    (work / "hits").unlink()
    return lines


def causes(work: Path) -> dict[str, str]:
    report = read_report(work / "job")
    return {example["key"]: row["cause"] for row in report["missing"]["causes"] for example in row["examples"]}


def test_heal_fetches_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    log = crawl(tmp_path, "healing")
    assert "INCOMPLETE" in log
    assert causes(tmp_path) == {"2": "dead", "3": "dropped", "4": "no_item", "9": "never_linked", "10": "never_linked"}
    assert hits(tmp_path) == ["0", "1", "2", "3", "4", "5"]
    healing = heal(tmp_path / "job")
    assert (healing.revived, healing.repeated, healing.asked, healing.under_way) == (1, 2, 2, 0)
    log = crawl(tmp_path, "healing", fixed=True)
    assert hits(tmp_path) == ["2", "3", "4", "9"]
    assert items(tmp_path) == ["0", "1", "2", "3", "4", "5", "9"]
    assert "healed: 4 of 5, 0 under way, 1 that cannot be requested" in log
    assert causes(tmp_path) == {"10": "never_linked"}
    assert read_report(tmp_path / "job")["healing"] == {"asked": 5, "collected": 4, "left": 0, "impossible": 1}


def test_heal_again_after_it_has_not_helped(tmp_path: Path) -> None:
    crawl(tmp_path, "healing")
    for _ in range(2):
        heal(tmp_path / "job")
        crawl(tmp_path, "healing")
        assert causes(tmp_path) == {"2": "dead", "3": "dropped", "4": "no_item", "10": "never_linked"}
    heal(tmp_path / "job")
    crawl(tmp_path, "healing", fixed=True)
    assert items(tmp_path) == ["0", "1", "2", "3", "4", "5", "9"]


def test_slugs_are_expected_by_default(tmp_path: Path) -> None:
    crawl(tmp_path, "slugs")
    assert causes(tmp_path) == {"b": "no_item"}
    assert hits(tmp_path) == ["a", "b", "c"]
    heal(tmp_path / "job")
    crawl(tmp_path, "slugs", fixed=True)
    assert hits(tmp_path) == ["b"]
    assert items(tmp_path) == ["A", "B", "C"]
    assert read_report(tmp_path / "job")["verdict"] == "complete"


def test_a_file_lists_the_expected_items(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("\ufeff0\n\n 1 \nstranger\n", encoding="utf-8")
    log = crawl(tmp_path, "healing", T8_EXPECT_FILE="keys.txt")
    assert "3 items are expected by keys.txt" in log
    assert causes(tmp_path)["stranger"] == "never_linked"
    assert read_report(tmp_path / "job")["totals"][0] == {
        "source": "file",
        "announced": None,
        "keys": 3,
        "collected": 2,
        "missing": 1,
    }


def test_the_last_good_job_lists_the_expected_items(tmp_path: Path) -> None:
    crawl(tmp_path, "slugs", fixed=True, T8_EXPECT_LAST="1")
    assert read_report(tmp_path / "job")["verdict"] == "complete"
    log = crawl(tmp_path, "map", site="data:,", T8_EXPECT_LAST="1", T8_RESUME="fresh")
    assert "of the last good job" not in log  # that was another spider's
    log = crawl(tmp_path, "slugs", T8_EXPECT_LAST="1", T8_RESUME="fresh")
    assert "3 items are expected: those of the last good job" in log
    assert causes(tmp_path)["B"] == "never_linked"


@pytest.mark.parametrize(("sitemap", "third"), [("/index.xml", True), ("/robots.txt", False), ("file", False)])
def test_a_sitemap_lists_the_expected_items(tmp_path: Path, site: Site, sitemap: str, third: bool) -> None:
    where = f"{site.url}{sitemap}"
    if sitemap == "file":
        where = "map.xml"
        urls = "".join(f"<url><loc>{site.url}/{path}</loc></url>" for path in ("one", "two?a=2&amp;b=1"))
        (tmp_path / where).write_text(f"<urlset>{urls}</urlset>")
    log = crawl(tmp_path, "map", site=site.url, T8_EXPECT_SITEMAPS=json.dumps([where]))
    assert f"{2 + third} items are expected" in log
    missing = {f"{site.url}/two?a=2&b=1": "no_item"} | ({f"{site.url}/three": "never_linked"} if third else {})
    assert causes(tmp_path) == missing


def test_a_sitemap_that_cannot_be_read_is_reported_only(tmp_path: Path, site: Site) -> None:
    log = crawl(tmp_path, "map", site=site.url, T8_EXPECT_SITEMAPS=json.dumps([f"{site.url}/none.xml"]))
    assert "none.xml cannot be read, so nothing is expected of it: the answer is 404" in log
    assert len(items(tmp_path)) == 2
    assert read_report(tmp_path / "job")["ledger"]["expected"]["expected"] == 0


def test_there_is_nothing_to_heal(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no job in"):
        heal(tmp_path / "none")
    assert not (tmp_path / "none").exists()
