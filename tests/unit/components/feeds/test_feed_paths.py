"""Which URIs and files a feed may have, whatever a job directory says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.components.feeds.feed_paths import FeedPaths, refuse_same_file
from scrapy_t8.errors import FeedError


@pytest.mark.parametrize(
    ("template", "params", "uri", "expected"),
    [
        ("items.jsonl", {}, "items.jsonl", True),
        ("items.jsonl", {}, "/home/thesis.txt", False),
        ("items.jsonl", {}, "items_jsonl", False),
        ("a-%(time)s.csv", {"time": "2026-01-01T00-00-00+00-00"}, "a-2025-12-31T23-59-59+00-00.csv", True),
        ("a-%(time)s.csv", {"time": "2026-01-01T00-00-00+00-00"}, "a-../../thesis.csv", False),
        ("a-%(time)s.csv", {"time": "2026-01-01T00-00-00+00-00"}, "a-x/thesis.csv", False),
        ("b/%(batch_id)05d-%(name)s.csv", {"name": "cars"}, "b/00017-cars.csv", True),
        ("b/%(batch_id)05d-%(name)s.csv", {"name": "cars"}, "b/00017-/etc/passwd.csv", False),
        ("%(name)s.csv", {"name": "cars"}, "/home/thesis.csv", False),
        ("%(day)s/items.csv", {"day": "2026/11/28"}, "2026/11/27/items.csv", True),
        ("%(day)s/items.csv", {"day": "2026/11/28"}, "2026/../../items.csv", False),
        ("%(name)s/%(name)s.csv", {"name": "a"}, "b/b.csv", True),
        ("s3://bucket/%(name)s.csv", {"name": "a"}, "s3://bucket/b.csv", True),
        ("s3://bucket/%(name)s.csv", {"name": "a"}, "s3://other/b.csv", False),
        ("items.jsonl", {}, None, False),
        ("items.jsonl", {}, ["items.jsonl"], False),
    ],
)
def test_a_parameter_may_have_another_value_but_no_other_form(
    template: str, params: dict[str, Any], uri: Any, expected: bool
) -> None:
    assert FeedPaths(template, params).has_uri(uri) is expected


def test_files_are_known_with_links_and_without(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    (link / "feed").symlink_to("target")
    paths = FeedPaths(str(link / "feed"), {})
    assert paths.has_file(str(link / "feed"))
    assert paths.has_file(str(real / "target"))
    assert not paths.has_file(str(real / "other"))
    batches = FeedPaths(str(link / "%(batch_id)d.csv"), {})
    assert batches.has_file(str(real / "12.csv"))
    assert not batches.has_file(str(tmp_path / "12.csv"))


def test_a_feed_that_is_nowhere_local_has_no_file() -> None:
    assert not FeedPaths("s3://bucket/a.csv", {}, lambda uri: None).has_file("s3://bucket/a.csv")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.jsonl", "./a.jsonl"),
        ("a.jsonl", "file://{here}/a.jsonl"),
        ("%(name)s.csv", "cars.csv"),
        ("link.csv", "a.csv"),
    ],
)
def test_two_feeds_in_one_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.csv").symlink_to("a.csv")
    uris = [first, second.format(here=tmp_path)]
    with pytest.raises(FeedError, match=re.escape(f"twice, as {first} and as ")):
        refuse_same_file({uri: {"uri_params": None} for uri in uris}, lambda _: {"name": "cars"})


def test_other_feeds_are_not_refused() -> None:
    """Also several feeds in one device, or in a bucket."""
    uris = ["a.jsonl", "b/a.jsonl", "/dev/null", "//dev/null", "stdout:", "s3://a/a.jsonl", "%(batch_id)d.csv"]
    refuse_same_file({uri: {"uri_params": None} for uri in uris}, lambda _: {"batch_id": 1})
