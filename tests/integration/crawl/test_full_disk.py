"""The disk is full in the middle of a crawl: it stops, says so, and goes on when there is space again."""

from __future__ import annotations

import resource
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crawl import Crawl

from .compare import Lab

pytestmark = pytest.mark.slow

WEIGHT = {"weight": "10000"}
SIZE = {"size": "120000"}


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("size=512k", "tmpfs")

    def grow(self) -> None:
        self._mount("remount,size=64m")

    def lock(self) -> None:
        self._mount("remount,ro")

    def _mount(self, options: str, *kind: str) -> None:
        source = ["-t", *kind, *kind] if kind else []
        done = subprocess.run(["mount", "-o", options, *source, str(self.path)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"this test makes a file system, and may not: {done.stderr.decode().strip()}")

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], capture_output=True, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.remove()


@pytest.fixture(scope="module")
def sized(lab: Lab) -> Counter[str]:
    return _plain(lab, SIZE)


@pytest.fixture(scope="module")
def weighty(lab: Lab) -> Counter[str]:
    return _plain(lab, WEIGHT)


def _plain(lab: Lab, arguments: dict[str, str]) -> Counter[str]:
    plain = lab.crawl("simple", t8=False, **arguments)
    plain.finished()
    return plain.lines


def test_no_space_for_the_state(lab: Lab, disk: Disk, weighty: Counter[str]) -> None:
    crawl = lab.crawl("simple", **WEIGHT, JOBDIR=str(disk.path))
    run = crawl.run()
    assert run.reason == "t8_store_failed", run.log
    _assert_told(crawl, "full", "Make space")
    _assert_in_vain(crawl)
    disk.grow()
    crawl.finished()
    assert crawl.lines == weighty


def test_no_space_for_the_feed(lab: Lab, disk: Disk, sized: Counter[str]) -> None:
    crawl = lab.crawl("simple", **SIZE)
    (crawl.work / "items.jsonl").symlink_to(disk.path / "items.jsonl")
    run = crawl.run()
    assert run.reason == "t8_feed_failed", run.log
    _assert_told(crawl, "No space left", "Make space")
    _assert_in_vain(crawl)
    disk.grow()
    crawl.finished()
    assert crawl.lines == sized


def test_a_limit_for_the_state(lab: Lab, weighty: Counter[str]) -> None:
    crawl = lab.crawl("simple", **WEIGHT)
    run = crawl.run(before=limit_files)
    assert run.reason == "t8_store_failed", run.log
    _assert_told(crawl, "Make space")
    assert not run.lines("Request given up")
    crawl.finished()
    assert crawl.lines == weighty


def test_a_limit_for_the_feed(lab: Lab, sized: Counter[str]) -> None:
    crawl = lab.crawl("simple", **SIZE)
    run = crawl.run(before=limit_files)
    assert run.reason == "t8_feed_failed", run.log
    _assert_told(crawl, "File too large", "Make space")
    crawl.finished()
    assert crawl.lines == sized


def test_a_read_only_disk(lab: Lab, disk: Disk, weighty: Counter[str]) -> None:
    """Before there is a job, and with a job in the middle: refused both times, and then it goes on."""
    crawl = lab.crawl("simple", **WEIGHT, JOBDIR=str(disk.path / "job"))
    disk.lock()
    _assert_refused(crawl)
    disk.grow()
    subprocess.run(["mount", "-o", "remount,rw", str(disk.path)], check=True)
    crawl.killed("page:25")
    disk.lock()
    _assert_refused(crawl)
    subprocess.run(["mount", "-o", "remount,rw", str(disk.path)], check=True)
    crawl.finished()
    assert crawl.lines == weighty


def _assert_refused(crawl: Crawl) -> None:
    run = crawl.run()
    assert run.code == 1, run.log
    _assert_told(crawl, "ead-only", "JOBDIR")
    assert "Traceback" not in run.log


def _assert_told(crawl: Crawl, *parts: str) -> None:
    # That the end of the run cannot be written either may be said in the same words.
    (complaint,) = {line.partition("CRITICAL")[2] for line in crawl.last.complaints}
    for part in parts:
        assert part in complaint
    assert "A bug in" not in crawl.last.log


def _assert_in_vain(crawl: Crawl) -> None:
    """While nothing has changed, the command ends in the same way, and makes nothing worse."""
    run = crawl.run()
    if run.reason == "finished":
        return  # entries that were done have been deleted, which has made enough space
    assert run.code == 1 or run.reason.startswith("t8_"), run.log
    assert run.complaints


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
