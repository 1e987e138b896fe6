"""Scrapy's storage for local files, by atomic replacement."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from scrapy import Spider

from scrapy_t8.components.feeds.rewritten import AtomicFileStorage, RewriteTarget
from scrapy_t8.errors import FeedError

SPIDER = Spider("any")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.json"


def store(path: Path | str, data: bytes, base: int = 0, **options: Any) -> AtomicFileStorage:
    storage = AtomicFileStorage(str(path), feed_options=options)
    storage.base = base
    file = storage.open(SPIDER)
    file.write(data)
    storage.store(file)
    return storage


def test_a_reader_sees_the_old_content_or_the_new(path: Path) -> None:
    path.write_bytes(b"old")
    storage = AtomicFileStorage(str(path))
    file = storage.open(SPIDER)
    file.write(b"new")
    file.flush()
    assert path.read_bytes() == b"old"
    storage.store(file)
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


def test_appending_keeps_what_was_there_before_the_job(path: Path) -> None:
    path.write_bytes(b"before")
    base = AtomicFileStorage(str(path)).kept_length()
    for data in (b"[1]", b"[1, 2]"):
        store(path, data, base)
        assert path.read_bytes() == b"before" + data


def test_overwriting_keeps_nothing(path: Path) -> None:
    path.write_bytes(b"before")
    assert AtomicFileStorage(str(path), feed_options={"overwrite": True}).kept_length() == 0
    assert AtomicFileStorage(str(path.with_name("none"))).kept_length() == 0


def test_a_shorter_file_is_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store(path, b"[1]", base=6)
    assert path.read_bytes() == b"[1]"
    (record,) = caplog.records
    assert "shorter than before the job" in record.getMessage()


def test_a_link_stays_and_its_target_is_replaced(path: Path) -> None:
    (path.parent / "there").mkdir()
    path.symlink_to("there/target.json")
    store(path, b"[]")
    assert path.is_symlink()
    assert (path.parent / "there" / "target.json").read_bytes() == b"[]"


def test_permissions_stay(path: Path) -> None:
    path.touch(0o640)
    path.chmod(0o604)
    store(path, b"[]")
    assert path.stat().st_mode & 0o777 == 0o604


def test_directories_are_made(path: Path) -> None:
    store(path.parent / "a" / "b" / "feed", b"[]")
    assert (path.parent / "a" / "b" / "feed").read_bytes() == b"[]"


def test_a_file_uri(path: Path) -> None:
    store(path.as_uri(), b"[]")
    assert path.read_bytes() == b"[]"


def test_a_pipe_is_written_and_not_replaced(path: Path) -> None:
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    store(path, b"[]")
    assert os.read(reader, 10) == b"[]"
    os.close(reader)
    assert path.is_fifo()


def test_its_file_has_the_name_of_the_feed(path: Path) -> None:
    file = AtomicFileStorage(str(path)).open(SPIDER)
    assert file.name == str(path)
    file.close()


def test_statistics_know_it_by_the_name_of_scrapys_own() -> None:
    assert AtomicFileStorage.__name__ == "FileFeedStorage"


def test_an_error_of_the_disk_names_the_feed_and_the_remedy(path: Path) -> None:
    path.write_bytes(b"no directory")
    with pytest.raises(FeedError, match=r"cannot write the feed .*feed\.json/feed: .*File exists"):
        store(path / "feed", b"[]")
    with pytest.raises(FeedError, match=r"cannot write the feed /dev/full: .*No space left"):
        store("/dev/full", b"[]")


def test_a_target_is_a_record() -> None:
    target = RewriteTarget("target:1 x.json", "x.json", 5)
    target.flush()
    assert RewriteTarget.load(target.name, target.record()) == target
