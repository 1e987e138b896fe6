"""Each spider with its arguments has a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_t8.core.job.jobdir import job_directory
from scrapy_t8.model.job import Identity


def identity(spider: str = "cars", **arguments: str) -> Identity:
    return Identity.of(spider, arguments, ["night"])


def test_without_jobdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain, red, blue = (
        job_directory(None, who).name for who in (identity(), identity(colour="red"), identity(colour="blue"))
    )
    assert plain == "cars"
    assert len({plain, red, blue}) == 3
    assert job_directory("", identity(colour="red", night="Monday", _job="7")).name == red
    assert job_directory("", identity(night="Monday")).name == plain


def test_a_shared_jobdir(tmp_path: Path) -> None:
    """The first crawl has the JOBDIR, any other one a directory in the JOBDIR, also when it comes first."""
    root = str(tmp_path / "job")
    assert job_directory(root, identity()) == Path(root)
    own = job_directory(root, identity("bikes"))
    assert own == Path(root, "bikes")
    assert job_directory(root, identity()) == Path(root)
    (own / "t8").mkdir(parents=True)
    (own / "t8/state.db").touch()
    moved = tmp_path / "moved"
    Path(root).rename(moved)
    assert job_directory(str(moved), identity("bikes")) == moved / "bikes"
    assert job_directory(str(moved), identity()) == moved
