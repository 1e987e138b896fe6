"""Runs scenes as real crawls, ends them where they ask for it, and compares what they bring with plain Scrapy."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

from .launch import launch
from .site import Site

HERE = Path(__file__).parent
LIMIT = 60
"""Seconds after which a crawl hangs."""
ADDON = {"ADDONS": '{"scrapy_t8.T8Addon": 500}'}
TORN = re.compile(r"^\S+ \S+ \[(?:scrapy_t8|T8)[^]]*\] (?:ERROR|CRITICAL): .*", re.MULTILINE)
OTHERWISE = re.compile(
    r"^t8/|time|memusage|_per_minute|log_count|scheduler/(en|de)queued/|scheduler/unserializable|feedexport|items/"
)
"""Statistics in which a crawl with T8 may differ from one without."""


@dataclass(frozen=True)
class Run:
    """How one process ended, and what it said."""

    code: int
    log: str
    stats: Mapping[str, Any]

    @property
    def reason(self) -> Any:
        return self.stats.get("finish_reason")

    @property
    def complaints(self) -> list[str]:
        """The lines in which T8 says that something is wrong."""
        return TORN.findall(self.log)

    def lines(self, part: str) -> list[str]:
        return [line for line in self.log.splitlines() if part in line]


class Crawl:
    """One job in a directory of its own, run as often as it takes.

    :param command: what comes after ``python``.
    :param t8: with the add-on, or plain Scrapy.
    """

    def __init__(
        self, command: Sequence[str], directory: Path, site: str, settings: Mapping[str, Any], *, t8: bool = True
    ) -> None:
        self.directory = directory
        self.site = site
        self.token = directory.name
        """By which the server knows this crawl."""
        self.arguments = list(command)
        self.settings = {**(ADDON if t8 else {}), **settings}
        self._numbers = itertools.count(1)
        self.last: Run
        directory.mkdir(parents=True)
        (directory / "scrapy.cfg").write_text("[settings]\ndefault = scenes.settings\n")

    def run(
        self,
        *more: str,
        end: str = "",
        switch: str = "",
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        limit: float = LIMIT,
        before: Callable[[], object] | None = None,
    ) -> Run:
        """Run the crawl once. *end* is where it is to end itself, as ``kill:point``."""
        number = next(self._numbers)
        files = {kind: self.directory / f"{kind}-{number}" for kind in ("log", "stats")}
        given = {**self.environment(end, switch, files["stats"]), **(environment or {})}
        code = launch(self.command(*more, settings=settings)[1:], self.directory, given, files["log"], limit, before)
        stats = json.loads(files["stats"].read_text()) if files["stats"].exists() else {}
        self.last = Run(code, files["log"].read_text(errors="replace"), stats)
        return self.last

    def command(self, *more: str, settings: Mapping[str, Any] | None = None) -> list[str]:
        given = {**self.settings, **(settings or {})}
        options = itertools.chain.from_iterable(("-s", f"{name}={value}") for name, value in given.items())
        return [sys.executable, *self.arguments, *more, *options]

    def environment(self, end: str = "", switch: str = "", stats: Path | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("T8_", "SCRAPY_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PYTHONPYCACHEPREFIX": str(self.directory.parent / "pycache"),
            "PYTHONUNBUFFERED": "1",
            "SCENE_SITE": self.site,
            "SCENE_NOTES": str(self.directory / "notes"),
            "SCENE_STATS": str(stats or self.directory / "stats"),
            "SCENE_END": end,
            "SCENE_SWITCH": switch,
        }

    def killed(self, point: str, **options: Any) -> Run:
        """Run it until it kills itself at *point*, with SIGKILL."""
        run = self.run(end=f"kill:{point}", **options)
        assert run.code == -SIGKILL, f"it was to die at {point}, but ended with {run.code}:\n{run.log[-3000:]}"
        return run

    def stopped(self, point: str, **options: Any) -> Run:
        """Run it until it gets a SIGINT at *point*."""
        run = self.run(end=f"stop:{point}", **options)
        assert run.code == 0
        assert run.reason == "shutdown", f"it was to be stopped at {point}:\n{run.log[-3000:]}"
        return run

    def finished(self, **options: Any) -> Run:
        """Run it to its end, and balance the books."""
        run = self.run(**options)
        assert (run.code, run.reason) == (0, "finished"), run.log[-5000:]
        assert not run.complaints, run.complaints
        if self.state.exists():
            self.check_books()
        return run

    # -- what it left ------------------------------------------------------------------------------------------------

    @property
    def items(self) -> Counter[str]:
        feed = self.directory / "items.jsonl"
        return Counter(feed.read_text().splitlines() if feed.exists() else [])

    @property
    def notes(self) -> list[str]:
        file = self.directory / "notes"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def pages(self) -> list[str]:
        """The pages processed, in order, one for each time."""
        return [line.removeprefix("page ") for line in self.notes if line.startswith("page ")]

    @property
    def state(self) -> Path:
        return self.directory / "job" / "t8" / "state.db"

    def query(self, question: str) -> list[Any]:
        """Ask the state file of a crawl that is not running."""
        with sqlite3.connect(self.state) as db:
            rows = db.execute(question).fetchall()
        db.close()
        return rows

    @property
    def content(self) -> list[str]:
        """All that the state file holds."""
        with sqlite3.connect(self.state) as db:
            content = list(db.iterdump())
        db.close()
        return content

    @property
    def job(self) -> Mapping[str, Any]:
        record: Mapping[str, Any] = json.loads(self.query("SELECT record FROM job")[0][0])
        return record

    def check_books(self) -> None:
        """Nothing is left, and the books of the job balance."""
        job = self.job
        books = job["ledger"]
        assert job["finished"], job
        assert job["start_done"], job
        assert books["admitted"] == books["done"] + books["discarded"] + books["dead"], books
        assert self.query("SELECT count(*) FROM entry") == [(0,)]


class Lab:
    """Makes crawls, each in a directory and on a site of its own."""

    def __init__(self, directory: Path, site: Site) -> None:
        self.directory = directory
        self.site = site
        self._numbers = itertools.count(1)

    def crawl(
        self,
        spider: str,
        *,
        t8: bool = True,
        settings: Mapping[str, Any] | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> Crawl:
        """A crawl of one of the scenes."""
        given = itertools.chain.from_iterable(("-a", f"{name}={value}") for name, value in (arguments or {}).items())
        return self._crawl(["-m", "scrapy", "crawl", spider, "-O", "items.jsonl", *given], t8=t8, settings=settings)

    def script(self, name: str, *arguments: str, settings: Mapping[str, Any] | None = None) -> Crawl:
        """A crawl that is begun by one of the scripts."""
        script = str(HERE / "scenes" / "scripts" / f"{name}.py")
        return self._crawl([script, *arguments], t8=False, settings=settings)

    def copy(self, crawl: Crawl) -> Crawl:
        """The same crawl once more, as far as it is."""
        copied = Crawl(crawl.arguments, self._new_directory(), crawl.site, crawl.settings, t8=False)
        shutil.copytree(crawl.directory, copied.directory, dirs_exist_ok=True)
        return copied

    def _crawl(self, command: Sequence[str], *, t8: bool, settings: Mapping[str, Any] | None) -> Crawl:
        directory = self._new_directory()
        home = {"JOBDIR": "job"} if t8 else {}
        return Crawl(command, directory, self.site.url(directory.name), {**home, **(settings or {})}, t8=t8)

    def _new_directory(self) -> Path:
        return self.directory / f"{self.directory.name}-{next(self._numbers):03}"

    def compare(
        self, spider: str, *chains: Sequence[str], settings: Mapping[str, Any] | None = None, calm: bool = True
    ) -> Comparison:
        """Run *spider* plain, with T8, and with T8 through each of the *chains* of kills: all bring the same.

        A chain names the point where each of its runs but the last dies.
        """
        crawls = [self.crawl(spider, t8=number > 0, settings=settings) for number in range(2 + len(chains))]
        plain, undisturbed, *broken = crawls
        with ThreadPoolExecutor(3) as pool:
            ends: list[Future[Any]] = [pool.submit(plain.finished)]
            ends += [pool.submit(_through, crawl, chain) for crawl, chain in zip(broken, chains, strict=True)]
            ends += [pool.submit(undisturbed.finished)] if calm else []
            for end in ends:
                end.result()
        if calm:
            _same_as(plain, undisturbed)
        for crawl in broken:
            assert crawl.items == plain.items, _difference(crawl, plain)
            assert set(crawl.pages) == set(plain.pages)
        return Comparison(plain, undisturbed, broken)


@dataclass(frozen=True)
class Comparison:
    """The crawls of one scene, for more questions."""

    plain: Crawl
    calm: Crawl
    broken: Sequence[Crawl]


def _through(crawl: Crawl, chain: Sequence[str]) -> None:
    for point in chain:
        crawl.killed(point)
    crawl.finished()


def _same_as(plain: Crawl, calm: Crawl) -> None:
    assert calm.items == plain.items, _difference(calm, plain)
    assert Counter(calm.pages) == Counter(plain.pages)
    expected, found = (_comparable(crawl.last.stats) for crawl in (plain, calm))
    assert found == expected, {
        name: (found.get(name), expected.get(name))
        for name in {*found, *expected}
        if found.get(name) != expected.get(name)
    }


def _comparable(stats: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stats.items() if not OTHERWISE.search(name) and not name.startswith("t8/")}


def _difference(crawl: Crawl, plain: Crawl) -> str:
    return (
        f"lost {dict(plain.items - crawl.items)}, too much {dict(crawl.items - plain.items)}; notes: {crawl.notes}; "
        f"of the last run: {crawl.last.log[-3000:]}"
    )
