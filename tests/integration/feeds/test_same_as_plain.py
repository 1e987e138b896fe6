"""Every feed of feed_options.py, written by plain Scrapy, by an undisturbed T8, and by T8 with stops and kills."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import Snapshots
from .crawls import files
from .feed_options import BATCH, FEEDS
from .records import head, records

pytestmark = pytest.mark.slow

BATCHES = [name for name, options in FEEDS.items() if "batch_item_count" in options]
SINGLE = [name for name in FEEDS if name not in BATCHES]


def of_feed(uri: str, directory: Path) -> dict[str, Path]:
    """The files of one feed."""
    name = uri.replace("remote://", "remote/").replace("link", "elsewhere/link")
    name = name.replace("%(name)s", "shop").replace("%(shard)s", "north").replace("%(place)s", "shop-north")
    pattern = re.sub(r"%\\\(batch_(id|time)\\\)0?2?[ds]", r"#?\\d+", re.escape(name))
    return {found: path for found, path in files(directory).items() if re.fullmatch(pattern, found)}


def test_undisturbed_every_byte_is_the_same(plain: Snapshots, undisturbed: Snapshots) -> None:
    expected, found = files(plain.directory), files(undisturbed.directory)
    assert list(found) == list(expected)
    different = [name for name, path in expected.items() if found[name].read_bytes() != path.read_bytes()]
    # How marshal writes a string depends on how many references there are to it.
    assert set(different) <= {"plain.marshal"}
    assert records(found["plain.marshal"]) == records(expected["plain.marshal"])


def test_permissions_are_those_of_plain_scrapy(plain: Snapshots, undisturbed: Snapshots, killed: Snapshots) -> None:
    expected = {name: oct(path.stat().st_mode) for name, path in files(plain.directory).items()}
    assert {name: oct(path.stat().st_mode) for name, path in files(undisturbed.directory).items()} == expected
    assert {name: oct(path.stat().st_mode) for name, path in files(killed.directory).items()} == expected


@pytest.fixture(params=["stopped", "killed"])
def disturbed(request: pytest.FixtureRequest) -> Snapshots:
    snapshots: Snapshots = request.getfixturevalue(request.param)
    return snapshots


def test_after_stops_there_are_the_same_files(plain: Snapshots, disturbed: Snapshots) -> None:
    assert list(files(disturbed.directory)) == list(files(plain.directory))


@pytest.mark.parametrize("uri", SINGLE)
def test_after_stops_each_record_stands_once(uri: str, plain: Snapshots, disturbed: Snapshots) -> None:
    for name, expected in of_feed(uri, plain.directory).items():
        found = disturbed.directory / name
        assert records(found) == records(expected)
        if name.endswith(".csv"):
            assert head(found) == head(expected)


@pytest.mark.parametrize("uri", BATCHES)
def test_batches_go_on_counting(uri: str, plain: Snapshots, disturbed: Snapshots) -> None:
    expected, found = of_feed(uri, plain.directory), of_feed(uri, disturbed.directory)
    assert list(found) == list(expected)
    sizes = [records(path).total() for path in found.values()]
    assert sizes == [records(path).total() for path in expected.values()]
    both = [sum((records(path) for path in paths.values()), records(Path("/dev/null"))) for paths in (found, expected)]
    assert both[0] == both[1]
    assert BATCH in sizes or BATCH + 1 in sizes or set(sizes) == {1}
