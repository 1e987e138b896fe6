"""Runs ``scrapy crawl`` in processes: one :class:`Crawl` is one job, whose command is given as often as it takes."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, Signals
from typing import Any

from scrapy_t8.core.offline.dead_letters import open_dead_letters

from . import ledger
from .process import Process, environment, wait_until
from .site import Site

PLAIN = {"ADDONS": "{}", "JOBDIR": ""}
"""Settings of a crawl without the add-on."""
SLACK = 16
"""Requests that the site answers after the one at which a crawl is to be killed: it is in the midst of its work."""
OWN_FILES = (".runs", "scrapy.cfg")
"""What a :class:`Crawl` puts into its directory, beside what the crawl itself does."""
COMPLAINT = re.compile(r"^\S+ \S+ \[(?:scrapy_t8|T8)[^]]*\] (?:ERROR|CRITICAL): .*", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """How one run ended: exit status (minus a signal), log, standard output, statistics (if the engine stopped)."""

    code: int
    log: str
    output: str
    stats: Mapping[str, Any]

    @property
    def reason(self) -> Any:
        return self.stats.get("finish_reason")

    @property
    def complaints(self) -> list[str]:
        """The lines of the log in which T8 says that something is wrong."""
        return COMPLAINT.findall(self.log)

    def lines(self, part: str) -> list[str]:
        """Return the lines of the log with *part* in them."""
        return [line for line in self.log.splitlines() if part in line]

    def at(self, level: str) -> list[str]:
        """Return the lines of the log of a level."""
        return self.lines(f"] {level}: ")


class Running:
    """A run that goes on."""

    def __init__(self, process: Process, output: Path, stats: Path) -> None:
        self.process = process
        self._output = output
        self._stats = stats

    @property
    def log(self) -> str:
        return text_of(self.process.log)

    def until(self, holds: Callable[[], Any], what: str = "it") -> Running:
        """Wait until *holds* returns something true, while the process is alive."""
        try:
            wait_until(holds, what, meanwhile=lambda: self.process.is_alive)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.log[-3000:]}") from None
        return self

    def until_log(self, words: str) -> Running:
        return self.until(lambda: words in self.log, f"{words!r} in the log")

    def send(self, number: Signals) -> None:
        self.process.send(number)

    def stop(self) -> Run:
        """Send SIGINT, and wait for the end."""
        self.send(SIGINT)
        return self.wait()

    def kill(self) -> Run:
        """Kill the process, which has not ended by itself."""
        code = self.process.kill()
        assert code == -SIGKILL, f"it ended with {code} before it was killed:\n{self.log[-3000:]}"
        return self._ended(code)

    def wait(self) -> Run:
        """Wait for the end."""
        return self._ended(self.process.wait())

    def _ended(self, code: int) -> Run:
        stats = json.loads(self._stats.read_text()) if self._stats.exists() else {}
        return Run(code, self.log, text_of(self._output), stats)


def text_of(path: Path) -> str:
    """Return the text of a file; none if a process was killed before it could make the file."""
    return path.read_text(errors="replace") if path.exists() else ""


class Crawl:
    """One job of a project, in a directory of its own.

    :param project: the directory of a Scrapy project: ``settings.py``, and the modules that it names.
    :param site: what is crawled. Spiders find its URL in the environment, see :mod:`.probe`.
    :param work: where the crawl runs. Its job is in ``job``.
    :param spider: the spider that runs unless a run names another one.
    :param values: settings in capitals, and arguments of the spider in small letters, for all runs.
    """

    def __init__(self, project: Path, site: Site | None, work: Path, spider: str = "", /, **values: Any) -> None:
        self.project = project
        self.site = site
        self.work = work
        self.job = work / "job"
        self.feeds: Sequence[str] = ("-o", "items.jsonl")
        self.script: Sequence[str] = ()
        """A script of the project that runs in the place of ``scrapy crawl``, and its arguments."""
        self.last: Run
        self.fresh = False
        """Whether each run has an interpreter of its own, rather than one that is forked off."""
        self._spider = spider
        self._values = {"JOBDIR": "job", **values}
        (work / ".runs").mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1 + len(list((work / ".runs").glob("log-*"))))
        self.use_settings("settings")

    def use_settings(self, module: str) -> None:
        """Have the project use the settings of another module."""
        (self.work / "scrapy.cfg").write_text(f"[settings]\ndefault = {module}\n")

    def copy(self, work: Path) -> Crawl:
        """Return a copy of this crawl, as far as it has come."""
        shutil.copytree(self.work, work, dirs_exist_ok=True)
        copied = Crawl(self.project, self.site, work, self._spider, **self._values)
        copied.feeds, copied.script = self.feeds, self.script
        return copied

    # -- runs ---------------------------------------------------------------------------------------------------------

    def start(
        self,
        spider: str = "",
        *options: str,
        end: str = "",
        switch: str = "",
        variables: Mapping[str, str] | None = None,
        before: Callable[[], object] | None = None,
        **values: Any,
    ) -> Running:
        """Give the command once more.

        :param options: of the command line, besides arguments and settings.
        :param end: where the spider ends the run, and *switch* what is different in it: see :mod:`.probe`.
        :param variables: of the environment.
        :param before: called in the process before anything else.
        :param values: settings in capitals, and arguments of the spider in small letters.
        """
        number = next(self._numbers)
        log, output, stats = (self.work / ".runs" / f"{name}-{number}" for name in ("log", "output", "stats"))
        command = self.command(spider, *options, **values)
        given = {**self.environment(end, switch, stats), **(variables or {})}
        options_of_process = {"environment": given, "log": log, "output": output, "before": before}
        return Running(Process(command, self.work, fresh=self.fresh, **options_of_process), output, stats)

    def run(self, spider: str = "", *options: str, **more: Any) -> Run:
        """Give the command, and wait for the end; the arguments are those of :meth:`start`."""
        self.last = self.start(spider, *options, **more).wait()
        return self.last

    def command(self, spider: str = "", *options: str, **values: Any) -> list[str]:
        """Return what comes after ``python``."""
        words = ["-m", "scrapy", "crawl", spider or self._spider, *self.feeds, *options]
        if self.script:
            words = [str(self.project / self.script[0]), *self.script[1:], *options]
        for name, value in {**self._values, **values}.items():
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["-s" if name.isupper() else "-a", f"{name}={text}"]
        return words

    def environment(self, end: str = "", switch: str = "", stats: Path | None = None) -> dict[str, str]:
        return environment(
            self.project,
            CRAWL_SITE=self.site.url if self.site else "",
            CRAWL_NOTES=str(self.work / ".runs/notes"),
            CRAWL_STATS=str(stats or self.work / ".runs/stats"),
            CRAWL_END=end,
            CRAWL_SWITCH=switch,
        )

    def killed(self, point: str, *more: Any, **options: Any) -> Run:
        """Run until the spider kills the process at *point*."""
        run = self.run(*more, end=f"kill:{point}", **options)
        assert run.code == -SIGKILL, f"it was to die at {point}, but ended with {run.code}:\n{run.log[-3000:]}"
        return run

    def dies(self, point: str, **options: Any) -> bool:
        """Run until the spider kills the process at *point*.

        Return False if the run has finished: that may be where the point was passed in an earlier run, as what comes
        after it may have been committed then. How much is committed at a kill depends on the machine.
        """
        was_passed = point.partition(":")[0] in text_of(self.work / ".runs/notes.passed").splitlines()
        run = self.run(end=f"kill:{point}", **options)
        if run.code == -SIGKILL:
            return True
        assert was_passed, f"it was to die at {point}, but ended with {run.code}:\n{run.log[-3000:]}"
        self._check_finished(run)
        return False

    def stopped(self, point: str, *more: Any, **options: Any) -> Run:
        """Run until the process gets a SIGINT at *point*."""
        run = self.run(*more, end=f"stop:{point}", **options)
        assert (run.code, run.reason) == (0, "shutdown"), f"it was to be stopped at {point}:\n{run.log[-3000:]}"
        return run

    def killed_at(self, answers: int, *more: Any, slack: int = SLACK, **options: Any) -> Run:
        """Run, and kill the process when the site has answered so many more requests."""
        assert self.site is not None
        alarm = self.site.alarm(answers, slack)
        run = self.start(*more, **options).until(alarm.is_set, f"answer {answers}").kill()
        self.site.go_on()
        return run

    def finished(self, *more: Any, **options: Any) -> Run:
        """Run to the end, and check that nothing is wrong and nothing is left."""
        run = self.run(*more, **options)
        self._check_finished(run)
        return run

    def _check_finished(self, run: Run) -> None:
        assert (run.code, run.reason) == (0, "finished"), run.log[-5000:]
        assert not run.complaints, run.complaints
        if self.state_file.exists():
            self.check_ledger()

    # -- what the runs have left --------------------------------------------------------------------------------------

    @property
    def state_file(self) -> Path:
        return self.job / "t8/state.db"

    def state(self) -> ledger.State:
        """Return the state of the job. Nobody may have it open."""
        state = ledger.read(self.state_file)
        assert state is not None
        return state

    def committed(self) -> ledger.Committed:
        """Return what is committed so far, while the crawl runs."""
        return ledger.committed(self.state_file)

    def query(self, question: str) -> list[Any]:
        """Return the rows that answer a question in SQL to the state file. Nobody may have it open."""
        return ledger.query(self.state_file, question)

    def points(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the resume points, by task type and name. Nobody may have the state file open."""
        return ledger.points(self.state_file)

    def check_ledger(self) -> None:
        """Check that the job has finished, that nothing is left, and that the ledger is balanced."""
        state = self.state()
        assert state.finished, state
        assert state.record["start_done"], state
        assert (state.ready, state.waiting) == (0, 0), state
        assert state.difference == 0, state

    @property
    def lines(self) -> Counter[str]:
        """How often each line stands in the feed."""
        feed = self.work / "items.jsonl"
        return Counter(feed.read_text().splitlines() if feed.exists() else [])

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of the feed, as they stand there."""
        feed = self.work / "items.jsonl"
        return [json.loads(line) for line in feed.read_text(encoding="utf-8").splitlines()] if feed.exists() else []

    def values(self, field: str) -> Counter[Any]:
        """Return how often each value of a field stands in the feed."""
        return Counter(item[field] for item in self.items)

    def letters(self) -> Counter[str]:
        """Return how many dead letters of each kind there are."""
        with open_dead_letters(self.job) as letters:
            return Counter(letter.kind for letter in letters.list())

    @property
    def notes(self) -> list[str]:
        """What the spider has noted, in all runs."""
        file = self.work / ".runs/notes"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def pages(self) -> list[str]:
        """The pages that the spider has noted, in order, one for each time."""
        return [line.removeprefix("page ") for line in self.notes if line.startswith("page ")]
