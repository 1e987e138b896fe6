"""kill -9 at named points inside scrapy_t8: what the process is doing there is half done."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from .checks import Done, check
from .options import planned
from .plan import SMALL, VARIANTS, End, Fault, Plan
from .trial import Trial

pytestmark = pytest.mark.slow

COMMIT = "scrapy_t8.stores.sqlite.store:SQLiteStore.commit"
BEGIN_JOB = "scrapy_t8.stores.sqlite.store:SQLiteStore.begin_job"
BEGIN_RUN = "scrapy_t8.stores.sqlite.store:SQLiteStore.begin_run"
END_RUN = "scrapy_t8.stores.sqlite.store:SQLiteStore.end_run"
CREATE = "scrapy_t8.stores.sqlite.file:create"
MARKS = "scrapy_t8.stores.sqlite.inflight_log:InFlightLog"
WRITE = "scrapy_t8.components.feeds.appended:AppendedFeed.write"
TORN = Fault(f"{WRITE}:after:9")
"""Leaves a feed behind that is longer than was committed."""

AT_WORK = {
    "before the first commit": f"{COMMIT}:before:1",
    "before a commit": f"{COMMIT}:before:8",
    "in a commit, between the new entries": f"{COMMIT}:sql INSERT INTO entry:40",
    "in a commit, between the settled entries": f"{COMMIT}:sql DELETE FROM entry:30",
    "in a commit, among what was spawned": f"{COMMIT}:sql INTO spawned:10",
    "in a commit, before the feeds": f"{COMMIT}:sql INTO feed:5",
    "in a commit, at its COMMIT": f"{COMMIT}:sql COMMIT:6",
    "right after the first COMMIT": f"{COMMIT}:after:1",
    "right after a COMMIT": f"{COMMIT}:after:8",
    "after a commit, before the marks go": f"{MARKS}.discard:before:20",
    "between the feed and the commit": f"{WRITE}:after:4",
    "after the flush of a feed": "scrapy_t8.components.feeds.appended:AppendedFeed.flush:after:6",
    "after a request is marked": f"{MARKS}.add:after:30",
    "when a page has settled": "scrapy_t8.core.frontier.frontier:Frontier.settle:after:25",
}
AT_THE_BEGINNING = {
    "before the state file is made": f"{CREATE}:before:1",
    "while the state file is made": f"{CREATE}:sql user_version:1",
    "after the state file is made": f"{CREATE}:after:1",
    "before the job begins": f"{BEGIN_JOB}:before:1",
    "while the job begins": f"{BEGIN_JOB}:sql COMMIT:1",
    "after the job began": f"{BEGIN_JOB}:after:1",
    "while the first run begins": f"{BEGIN_RUN}:sql COMMIT:1",
    "after the first run began": f"{BEGIN_RUN}:after:1",
}
AT_RECOVERY = {
    "while crashes are charged": f"{BEGIN_RUN}:sql crashes + 1:2",
    "at its COMMIT": f"{BEGIN_RUN}:sql COMMIT:1",
    "before the marks are reset": f"{MARKS}.reset:before:1",
    "while the marks are reset": "os:ftruncate:after:1",
    "after the marks are reset": f"{MARKS}.reset:after:1",
    "after it": f"{BEGIN_RUN}:after:1",
    "before a feed is cut back": "os:truncate:before:1",
    "after a feed is cut back": "os:truncate:after:1",
    "at the first commit after it": f"{COMMIT}:sql COMMIT:1",
    "at the second commit after it": f"{COMMIT}:sql COMMIT:2",
}
AT_THE_END = {
    "before the feeds are finished": "scrapy_t8.components.feeds.exporter:T8FeedExporter._finish:before:1",
    "after the feeds are finished": "scrapy_t8.components.feeds.exporter:T8FeedExporter._finish:after:1",
    "before the run ends": f"{END_RUN}:before:1",
    "while the run ends": f"{END_RUN}:sql COMMIT:1",
    "after the run ended": f"{END_RUN}:after:1",
}
WHOLE = {
    "before the whole feed": "scrapy_t8.components.feeds.exporter:T8FeedExporter._rewrite:before:1",
    "in the middle of the whole feed": "scrapy.exporters:JsonItemExporter.export_item:after:100",
    "before the whole feed replaces the old one": "pathlib:Path.replace:before:1",
    "after the whole feed replaced the old one": "pathlib:Path.replace:after:1",
    "between the spool and the commit": "scrapy_t8.components.feeds.spool:ItemSpool.write:after:4",
}
IN_PART = Fault("scrapy_t8.core.job.commit_loop:CommitLoop._drain:false:1")
"""A page has so many items that they are written over several turns of the event loop."""
OFTEN = {"T8_COMMIT_PAGES": "4"}
"""The more commits, the surer each point is reached: the clock alone makes few of them on a fast machine."""


def at(place: str, faults: Mapping[str, str], variant: str = "jsonl", before: tuple[End, ...] = ()) -> list[Plan]:
    """One plan for each point."""
    return [
        Plan(f"{place}: {name}", (*before, Fault(fault)), VARIANTS[variant], SMALL, settings=OFTEN)
        for name, fault in faults.items()
    ]


PLANS = [
    *at("at work", AT_WORK),
    *at("at the beginning", AT_THE_BEGINNING),
    *at("at recovery", AT_RECOVERY, before=(TORN,)),
    *at("at the end", AT_THE_END),
    *at("whole", WHOLE, "json"),
]
BIG = [
    Plan(f"in the middle of a large page: {name}", (IN_PART,), VARIANTS[name], SMALL, {"big": "1"})
    for name in ("jsonl", "json")
]


@planned([*PLANS, *BIG])
def test_a_kill_at_a_point_inside(plan: Plan, trial: Trial, done: Done) -> None:
    figures = check(trial)
    assert trial.kills == len(plan.ends)
    done(figures)
