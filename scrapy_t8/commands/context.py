"""One call of a command: its options, the job that it is about, and its output."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from scrapy.settings import BaseSettings
from scrapy.utils.project import inside_project

from scrapy_t8.config.causes import Accepted
from scrapy_t8.config.parsing import DEFAULT
from scrapy_t8.config.settings import effective
from scrapy_t8.core.job.jobdir import default_directory
from scrapy_t8.core.offline.dead_letters import DeadLetterReader, OfflineCodec, failed_tasks
from scrapy_t8.core.offline.resume_points import states_of
from scrapy_t8.errors import CommandError, JobError
from scrapy_t8.model.batch import PointRecord
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.failed_task import FailedTask
from scrapy_t8.model.job import SERVICE, JobRecord
from scrapy_t8.model.resume_point import DIED, RUNNING, RUNS, CollectionState, ResumePoint
from scrapy_t8.report.files import mask_of
from scrapy_t8.service.runs import StoredRun, collection_states
from scrapy_t8.stores.base import DeadLetterStore, ResumePointStore
from scrapy_t8.stores.owned import open_for_changes
from scrapy_t8.stores.reader.reader import Reader, open_read_only
from scrapy_t8.stores.shared.store import SharedStore
from scrapy_t8.stores.shared.tasks import SQLiteTasks

from .console import Terminal

ADDON = "T8Addon"
Points = dict[tuple[str, str], ResumePoint]  # Resume points by task type and name


class JobView(NamedTuple):
    """A job as it is now, for reading."""

    reader: Reader
    job: JobRecord
    letters: DeadLetterReader

    @property
    def is_service(self) -> bool:
        """Whether the job is that of a service, not of a crawl."""
        return self.job.spider == SERVICE

    @property
    def kind(self) -> str:
        return "service" if self.is_service else "crawl"

    def points(self) -> Points:
        """Return all resume points, by task type and name."""
        found = ((name, PointRecord("?", name, 0.0, record).point()) for name, record in self.reader.points())
        return {(point.task_type, name): point for name, point in found}

    def tasks(self) -> Iterator[FailedTask]:
        """Yield every failed task: those that wait, then those that were given up."""
        return failed_tasks(self.reader.all_waiting(), self.letters, self.job.id, Codec())

    def stored_runs(self) -> dict[str, StoredRun]:
        """Return the newest run of each task type of a service."""
        running = self.reader.is_running()
        runs = map(StoredRun.loads, self.reader.kept_as(RUNS).values())
        return {run.task_type: run if running or run.status != RUNNING else replace(run, status=DIED) for run in runs}

    def states(self) -> Iterator[CollectionState]:
        """Yield the state of each task type that has points, tasks or runs."""
        if self.is_service:
            yield from collection_states(self.stored_runs(), self.points(), self.tasks())
        elif runs := self.reader.runs():
            yield from states_of(self.job, runs[-1], self.points(), self.tasks())


class OwnedJob(NamedTuple):
    """A job that is open for changes. No other process changes the job while it is open."""

    box: DeadLetterStore
    points: ResumePointStore
    job: JobRecord
    tasks: SQLiteTasks | None  # The failed tasks of a service


class CommandContext:
    """One call of a command. *settings* are those of the project, with those of ``-s``."""

    def __init__(self, options: argparse.Namespace, settings: BaseSettings, terminal: Terminal) -> None:
        self.options = options
        self.settings = settings
        self.terminal = terminal

    @cached_property
    def directory(self) -> Path:
        """The job directory. It is an error if several directories may be meant."""
        return job_directory(self.options.jobdir, self.options.spider, self.settings)

    @property
    def accepted(self) -> Accepted | None:
        """The causes that the settings accept; None without the setting: the causes of the last run count."""
        found = effective(self.settings)
        return None if found.origins["accept"] == DEFAULT else Accepted(found.config.accept)

    @contextmanager
    def view(self) -> Iterator[JobView]:
        """Open the job for reading. From now on the terminal hides the secrets that the crawl hid.

        A crawl or service that uses the job is not held up.
        """
        with open_read_only(self.directory / "t8") as reader:
            job = reader.job()
            self.terminal.mask = mask_of(reader)
            yield JobView(reader, job, DeadLetterReader(reader.box, OfflineCodec()))

    @contextmanager
    def open_for_changes(self, *, is_service: bool) -> Iterator[OwnedJob]:
        """Open the job for changes. A crawl must not run meanwhile; services may run, and wait."""
        path = self.directory / "t8"
        if not is_service:
            with open_for_changes(path) as (store, job):
                yield OwnedJob(store.box, store.points, job, None)
            return
        shared = SharedStore(path)
        shared.open()
        with closing(shared), shared.alone() as job:
            yield OwnedJob(shared.box, shared.points, job, SQLiteTasks(shared))


def job_directory(jobdir: str | None, spider: str | None, settings: BaseSettings) -> Path:
    """Return *jobdir*, or the directory that a crawl of *spider*, or of this project, or a service would use.

    It is an error if there is no job, or several may be meant.
    """
    if jobdir:
        return Path(jobdir)
    if spider:
        return _of_spider(spider, _relative(Path(default_directory(""))))
    if settings.get("JOBDIR"):
        return Path(settings["JOBDIR"])
    return _only_one(_relative(Path(default_directory("")))) or _of_service(settings)


def _relative(path: Path) -> Path:
    """Return *path* relative to the current directory, if it is below it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _of_spider(spider: str, jobs: Path) -> Path:
    """Return the directory of *spider* in *jobs*; or its only one for a crawl with arguments, if there is one."""
    own = jobs / spider
    if own.exists():
        return own
    return _only_one(jobs, f"{spider}-{'[0-9a-f]' * 16}") or own


def _only_one(jobs: Path, names: str = "*") -> Path | None:
    found = sorted(path.parent.parent for path in jobs.glob(f"{names}/t8/state.db"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise CommandError(f"there are several jobs in {jobs}: give --spider, one of {names}; or --jobdir")
    return found[0] if found else None


def _of_service(settings: BaseSettings) -> Path:
    directory = Path(effective(settings).config.state_dir)
    if not (directory / "t8" / "state.db").exists():
        places = f"{_relative(Path(default_directory('')))} and {directory}"
        raise JobError(f"there is no job here (no state in {places}): {_what_to_do(settings)}")
    return directory


def _what_to_do(settings: BaseSettings) -> str:
    names = {name if isinstance(name, str) else getattr(name, "__name__", "") for name in settings.getdict("ADDONS")}
    if inside_project() and not any(name.rpartition(".")[2] == ADDON for name in names):
        return (
            f'scrapy_t8 is not switched on in the settings of this project: ADDONS = {{"scrapy_t8.{ADDON}": 500}}; a '
            "later line ADDONS = {} would switch it off again"
        )
    return (
        "give --jobdir, the JOBDIR of a crawl or the T8_STATE_DIR of a service, or run this in the directory of the "
        "project"
    )
