"""One trial: a crawl that is ended in every way its plan says, and then goes on until its job has finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import ledger
from tests.support.crawl import PLAIN, Crawl
from tests.support.site import Hit, Site

from .items import Item
from .plan import BEFORE, Plan, Variant
from .run import TrialRun

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Truth:
    """What an undisturbed crawl under plain Scrapy brings and asks for."""

    items: Counter[Item]
    hits: Counter[str]


@dataclass
class Trial:
    """A plan that is being carried out."""

    plan: Plan
    truth: Truth
    site: Site
    work: Path
    """Where the crawl runs."""
    runs: list[TrialRun] = field(default_factory=list)
    states: list[ledger.State | None] = field(default_factory=list)
    """After each run."""

    @property
    def finished(self) -> bool:
        return bool(self.states and self.states[-1] is not None and self.states[-1].finished)

    @property
    def kills(self) -> int:
        return sum(run.died for run in self.runs)

    def carry_out(self) -> None:
        """Run, end, run again."""
        self.work.mkdir()
        for name, option in self.plan.variant.feeds.items():
            if option == "-o":
                (self.work / name).write_bytes(BEFORE)
        for end in self.plan.ends:
            with self.run(end.fault, fresh=self.plan.fresh and end.is_at_start) as run:
                end.strike(run, self._hits_left())
            self.site.release()
            if self.finished:
                return
        for _ in range(self.plan.reruns):
            with self.run():
                pass
            if self.finished:
                return

    @contextmanager
    def run(self, fault: str | None = None, *, fresh: bool = False) -> Iterator[TrialRun]:
        """Give the command once more. When the block ends, the process has."""
        crawl = crawl_of(self.plan.variant, self.site, self.work, **self.plan.arguments, **self.plan.settings)
        crawl.fresh = fresh
        if fault is not None:
            crawl.script = (str(HERE / "fault.py"), "crawl", "torture", *crawl.feeds)
        before = len(self.site.hits)
        running = crawl.start(variables={} if fault is None else {"CRASH_FAULT": fault})
        run = TrialRun(len(self.runs) + 1, running, self.site, before)
        self.runs.append(run)
        try:
            yield run
            run.end()
        finally:
            run.close()
        self.states.append(read_state(self.work))

    def hits(self) -> list[Hit]:
        return self.site.hits

    def _hits_left(self) -> int:
        made = Counter(hit.page for hit in self.hits())
        return max(1, (self.truth.hits - made).total())


def crawl_of(variant: Variant, site: Site, work: Path, **values: Any) -> Crawl:
    """Return the crawl of a variant."""
    home = {} if variant.jobdir else {"JOBDIR": ""}
    crawl = Crawl(HERE / "project", site, work, "torture", base=site.url, **{**home, **variant.settings, **values})
    crawl.feeds = [word for name, option in variant.feeds.items() for word in (option, name)]
    return crawl


def read_state(work: Path) -> ledger.State | None:
    """Return the state of the job somewhere below *work*; None if there is no job yet."""
    files = list(work.rglob("state.db"))
    assert len(files) <= 1, f"more than one job: {files}"
    return ledger.read(files[0]) if files else None


PLAIN_SCRAPY = Variant("plain", settings=PLAIN)
