"""Which job is meant."""

from __future__ import annotations

from pathlib import Path

from scrapy.settings import BaseSettings

from scrapy_t8.config.settings import effective
from scrapy_t8.core.job.jobdir import default_directory
from scrapy_t8.errors import CommandError, JobError


def job_directory(jobdir: str | None, spider: str | None, settings: BaseSettings) -> Path:
    """The directory that was given, or that a crawl or a service of this project would use.

    :param jobdir: what ``--jobdir`` says; stronger than all else.
    :param spider: whose job is meant, where no JOBDIR is set.
    :raises CommandError: if it may be one of several.
    :raises JobError: if there is none.
    """
    if jobdir:
        return Path(jobdir)
    if spider:
        return _near(Path(default_directory(spider)))
    if settings.get("JOBDIR"):
        return Path(settings["JOBDIR"])
    return _only_one(_near(Path(default_directory("")))) or _of_service(settings)


def _near(path: Path) -> Path:
    """*path* as people here would name it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _only_one(jobs: Path) -> Path | None:
    found = sorted(path.parent.parent for path in jobs.glob("*/t8/state.db"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise CommandError(f"there are several jobs in {jobs}: give --spider, one of {names}; or --jobdir")
    return found[0] if found else None


def _of_service(settings: BaseSettings) -> Path:
    directory = Path(effective(settings).config.state_dir)
    if not (directory / "t8" / "state.db").exists():
        raise JobError(
            "there is no job here: give --jobdir, the JOBDIR of a crawl or the T8_STATE_DIR of a service, or run this "
            "in the directory of the project"
        )
    return directory
