"""One call of a command: what was given to it, the job that it is about, and the screen that it speaks to."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scrapy.settings import BaseSettings

from scrapy_t8.config.settings import effective
from scrapy_t8.core.job.jobdir import default_directory
from scrapy_t8.core.offline.dead_letters import DeadLetterReader, StubSpider
from scrapy_t8.errors import CommandError, JobError
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.job import SERVICE, JobRecord
from scrapy_t8.report.files import mask_of
from scrapy_t8.stores.base import DeadLetterStore, ResumePointStore
from scrapy_t8.stores.owned import open_for_changes
from scrapy_t8.stores.reader.reader import Reader, reading
from scrapy_t8.stores.shared.store import SharedStore
from scrapy_t8.stores.shared.tasks import SQLiteTasks

from .console import Terminal


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it is now, to be read."""

    reader: Reader
    job: JobRecord
    letters: DeadLetterReader

    @property
    def of_service(self) -> bool:
        """Whether the state is that of a service, and not of a crawl."""
        return self.job.spider == SERVICE


@dataclass(frozen=True, slots=True)
class OwnedJob:
    """A job that can be changed: nobody else changes it meanwhile."""

    box: DeadLetterStore
    points: ResumePointStore
    job: JobRecord
    tasks: SQLiteTasks | None
    """Of a service."""


class CommandContext:
    """A command is being called.

    :param options: what was given on the command line.
    :param settings: those of the project, with ``-s``.
    """

    def __init__(self, options: argparse.Namespace, settings: BaseSettings, screen: Terminal) -> None:
        self.options = options
        self.settings = settings
        self.screen = screen

    @cached_property
    def directory(self) -> Path:
        """The job directory.

        :raises T8Error: if it is not clear which one is meant.
        """
        return job_directory(self.options.jobdir, self.options.spider, self.settings)

    @contextmanager
    def looking(self) -> Iterator[JobView]:
        """The job, to be read: whoever is using it notices nothing. From now on the screen hides what the job hides.

        :raises T8Error: if there is none, or it cannot be read.
        """
        with reading(self.directory / "t8") as reader:
            job = reader.job()
            if job is None:
                raise JobError(f"there is no job in {self.directory} yet: nothing has begun there")
            self.screen.mask = mask_of(reader)
            yield JobView(reader, job, DeadLetterReader(reader.box, Codec(StubSpider())))

    @contextmanager
    def owning(self, *, of_service: bool) -> Iterator[OwnedJob]:
        """The job, to be changed. A crawl must not run meanwhile; services may, and wait for an instant.

        :raises T8Error: if a crawl does, or it cannot be changed.
        """
        path = self.directory / "t8"
        if of_service:
            shared = SharedStore(path)
            shared.open()
            try:
                with shared.alone() as job:
                    yield OwnedJob(shared.box, shared.points, job, SQLiteTasks(shared))
            finally:
                shared.close()
            return
        with open_for_changes(path) as (store, found):
            yield OwnedJob(store.box, store.points, found, None)


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
