"""Packages beside scrapy_t8, as its documentation names them: each crawl is killed, and brings what a plain one brings.

The packages are not among those that the tests need; a test whose package is not installed is skipped.
"""

from __future__ import annotations

import pytest

from .conftest import NeighbourLab

pytestmark = pytest.mark.slow

KILLS = ("1-3", "4-2:1")


def test_scrapy_poet(neighbours: NeighbourLab) -> None:
    """Page objects, their own downloads and dummy responses."""
    pytest.importorskip("scrapy_poet")
    comparison = neighbours.compare("poet", KILLS, addons=["scrapy_poet.Addon"])
    assert len(comparison.plain.lines) == 30
    assert all('"price"' in line for line in comparison.plain.lines)


def test_spidermon(neighbours: NeighbourLab) -> None:
    """Items are validated, and monitors run when each run closes. Their statistics are those of the run."""
    pytest.importorskip("spidermon")
    comparison = neighbours.compare("monitored", KILLS, T8_JOB_STATS=True)
    assert "monitored 30 of the run, None of the job" in comparison.plain.notes
    assert "monitored 30 of the run, 30 of the job" in comparison.calm.notes
    (killed,) = comparison.broken
    assert [note for note in killed.notes if note.startswith("monitored")]
    assert killed.last.stats["t8/job/item_scraped_count"] >= 30
    assert killed.last.stats["spidermon/validation/items"] == killed.last.stats["item_scraped_count"]


def test_scrapy_zyte_api(neighbours: NeighbourLab) -> None:
    """Each page comes through the API, with the fingerprints of scrapy-zyte-api. Its statistics have times in them."""
    pytest.importorskip("scrapy_zyte_api")
    comparison = neighbours.compare("through_an_api", KILLS, undisturbed=False, addons=["scrapy_zyte_api.Addon"])
    assert len(comparison.plain.lines) == 30
    for crawl in (comparison.plain, *comparison.broken):
        assert crawl.site is not None
        assert {hit.path for hit in crawl.site.hits} == {"/extract"}
