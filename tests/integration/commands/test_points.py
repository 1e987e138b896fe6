"""``scrapy t8 points ...``"""

from __future__ import annotations

import pytest

from scrapy_t8 import ResumePoint, open_resume_points
from tests.support.command import T8
from tests.support.crawl import Crawl

pytestmark = pytest.mark.slow
LIST = "LIST_COLLECTION"


def test_list(t8: T8, stopped: Crawl) -> None:
    printed = t8.json("points", "list", "--jobdir", stopped.job)
    assert printed["version"] == 1
    (point,) = printed["points"]
    assert point["name"] == ""
    assert ResumePoint.from_dict(point).current_page == 6
    assert point["metadata"]["tag"] == "汽车交通"
    assert t8("points", "list", "--jobdir", stopped.job) == 0
    assert "汽车交通" in t8.out
    assert t8("points", "list", "OTHER", "--jobdir", stopped.job) == 0
    assert t8.out == "There are no resume points.\n"


def test_set_changes_what_is_given(t8: T8, mine: Crawl) -> None:
    at = ("--jobdir", mine.job)
    assert t8("points", "set", LIST, "--page", "3", "--slug", "car-3", "--metadata", '{"a": 1}', *at) == 0
    assert "The job is not finished" in t8.out
    assert t8("points", "set", LIST, "--name", "new", "--cursor", "abc", *at) == 0
    with open_resume_points(mine.job) as points:
        first, second = points.get(LIST), points.get(LIST, "new")
        assert first is not None
        assert second is not None
        assert (first.current_page, first.last_slug, first.total_processed, first.metadata) == (3, "car-3", 6, {"a": 1})
        assert (second.current_page, second.last_cursor) == (0, "abc")


def test_delete(t8: T8, mine: Crawl) -> None:
    at = ("--jobdir", mine.job)
    line = t8.refused(2, "points", "delete", LIST, *at)
    assert line.startswith(f"scrapy t8: Delete the resume point {LIST}? That work begins at its beginning.")
    assert t8("points", "set", LIST, "--name", "new", "--page", "1", *at) == 0
    assert "there are several resume points" in t8.refused(2, "points", "delete", LIST, "--yes", *at)
    assert "there are several resume points" in t8.refused(2, "points", "set", LIST, "--page", "1", *at)
    assert t8("points", "delete", LIST, "--name", "new", "--yes", *at) == 0
    assert [point["name"] for point in t8.json("points", "list", *at)["points"]] == [""]
    assert t8("points", "delete", LIST, "--all", "--yes", *at) == 0
    assert t8.json("points", "list", *at)["points"] == []


def test_invalid_arguments_change_nothing(t8: T8, mine: Crawl) -> None:
    at = ("--jobdir", mine.job)
    before = t8.json("points", "list", *at)
    assert "name what to set" in t8.refused(2, "points", "set", LIST, *at)
    assert "not a whole number of at least 0: '-1'" in t8.refused(2, "points", "set", LIST, "--page=-1", *at)
    assert "not a JSON object" in t8.refused(2, "points", "set", LIST, "--metadata", "[1]", *at)
    assert "not a JSON object" in t8.refused(2, "points", "set", LIST, "--metadata", "{", *at)
    assert "task_type: it must not be empty" in t8.refused(1, "points", "set", "", "--page", "1", *at)
    assert "there is no resume point OTHER" in t8.refused(2, "points", "delete", "OTHER", "--yes", *at)
    assert "there is no resume point" in t8.refused(2, "points", "delete", LIST, "--name", "x", "--yes", *at)
    assert t8.json("points", "list", *at) == before
