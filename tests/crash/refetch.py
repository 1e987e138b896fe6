"""How many pages a stop costs: requests that the site saw again, and how many of them are allowed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.support.ledger import State
from tests.support.site import Hit

from .run import TrialRun
from .trial import Trial


@dataclass(frozen=True)
class Refetch:
    """What the stops of one trial have cost. ``lags`` is how old the last commit was at each kill, in seconds."""

    extra: int
    bound: int
    lags: list[float]


def refetch(trial: Trial) -> Refetch:
    """Compare the hits of a trial with those of an undisturbed crawl.

    What a stop loses was not settled at the last commit. It is the pages that were asked for *after* that commit, with
    their retries and redirects, and those that were under way *at* the commit:

    * up to CONCURRENT_REQUESTS that were downloading, and as many that had just made room for them: their responses
      were there, but not all of their items and requests were through;
    * those inside a callback that takes long;
    * those with requests that run from memory, as far as these had come.

    One Ctrl-C lets the pages under way come to their end, and only the last of these can count.
    """
    hits = trial.hits()
    made = Counter(hit.page for hit in hits)
    lags, bound = [], 0
    for run, state in zip(trial.runs[:-1] if trial.finished else trial.runs, trial.states, strict=False):
        of_run = hits[run.hits_before : run.hits_before + _made_by(run, trial, len(hits))]
        commit = _last_commit(run, state)
        after = [hit for hit in of_run if hit.when > commit]
        before = [hit for hit in of_run if hit.when <= commit]
        recent = before[-2 * trial.plan.variant.concurrency :]
        bound += len(after) + _families(before, recent)
        if not run.was_graceful:
            bound += len(recent) + _in_callbacks(before)
        if run.died and after:
            lags.append(run.ended - max(commit, after[0].when))
    return Refetch((made - trial.truth.hits).total(), bound, lags)


def _made_by(run: TrialRun, trial: Trial, total: int) -> int:
    later = trial.runs[run.number :]
    return (later[0].hits_before if later else total) - run.hits_before


def _last_commit(run: TrialRun, state: State | None) -> float:
    if not run.died:
        return run.ended
    known = state is not None and state.run_died and state.run_began >= run.began - 1
    return state.last_commit if known and state is not None else 0.0


def _in_callbacks(hits: list[Hit]) -> int:
    """The pages that may be inside a callback which takes long, or be held by the site."""
    made = {hit.page for hit in hits}
    slow = {page.rpartition("/")[2] for page in made if page.startswith("GET /slow/")}
    return sum(f"GET /memo/{number}000" not in made for number in slow) + ("GET /tar" in made)


def _families(hits: list[Hit], recent: list[Hit]) -> int:
    """The hits of pages that wait for requests of theirs which run from memory: parent, child and grandchild."""
    made, late = {hit.page for hit in hits}, {hit.page for hit in recent}
    waiting = 0
    for page in made:
        path, _, number = page.partition("GET /")[2].rpartition("/")
        if path == "slow":
            family = [page, f"GET /memo/{number}000", f"GET /memo/{number}0001"]
        elif path == "detail" and number.endswith("8"):
            family = [page, f"GET /memo/{number}", f"GET /memo/{number}1"]
        else:
            continue
        if family[-1] not in made or family[-1] in late:
            waiting += sum(member in made for member in family)
    return waiting
