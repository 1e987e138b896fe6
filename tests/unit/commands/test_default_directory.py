"""A command finds the job of a spider that has no JOBDIR, also if the crawl had arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from scrapy.settings import Settings

from scrapy_t8 import T8Addon
from scrapy_t8.commands.context import job_directory
from scrapy_t8.errors import CommandError, JobError

HASH = "0123456789abcdef"


def test_of_a_spider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = Path(".scrapy/t8")

    def add(name: str) -> Path:
        (jobs / name / "t8").mkdir(parents=True)
        (jobs / name / "t8/state.db").touch()
        return jobs / name

    def found(spider: str) -> Path:
        return job_directory(None, spider, Settings())

    assert found("cars") == jobs / "cars"
    with_arguments = add(f"cars-{HASH}")
    add("cars-of-today")
    assert found("cars") == with_arguments
    assert found(f"cars-{HASH}") == with_arguments
    add(f"cars-{HASH[::-1]}")
    with pytest.raises(CommandError, match="several jobs"):
        found("cars")
    plain = add("cars")
    assert found("cars") == plain


@pytest.mark.parametrize(
    ("addons", "words"),
    [
        ({}, "scrapy_t8 is not switched on"),
        ({"other.Addon": 1}, "scrapy_t8 is not switched on"),
        ({"scrapy_t8.T8Addon": 500}, "give --jobdir"),
        ({T8Addon: 500}, "give --jobdir"),
    ],
)
def test_a_project_that_has_not_switched_it_on_is_told_how(
    addons: dict[object, int], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scrapy_t8.commands.context.inside_project", lambda: True)
    with pytest.raises(JobError, match=words):
        job_directory(None, None, Settings({"ADDONS": addons}))
