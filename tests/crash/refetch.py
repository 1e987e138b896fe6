"""How many pages a stop may cost: what the server saw again, and what it may have seen again at the most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .books import Books
from .run import Run
from .torture_site import Hit
from .trial import Trial

LONG = 1.0
"""Seconds that no callback of the spider takes, nor what is left to do after it."""


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
    for run, books in zip(trial.runs[:-1] if trial.finished else trial.runs, trial.books, strict=False):
        of_run = hits[run.hits_before : run.hits_before + _made_by(run, trial, len(hits))]
        commit = _last_commit(run, books)
        after = [hit for hit in of_run if hit.when > commit]
        before = [hit for hit in of_run if hit.when <= commit]
        bound += len(after) + _families(before, commit)
        if before and not run.was_graceful:
            recent = [hit for hit in before if hit.when > commit - LONG]
            bound += min(len(recent), 2 * trial.plan.variant.concurrency) + _slow(before, commit)
        if run.died and after:
            lags.append(run.ended - max(commit, after[0].when))
    return Refetch((made - trial.truth.hits).total(), bound, lags)


def _made_by(run: Run, trial: Trial, total: int) -> int:
    later = trial.runs[run.number :]
    return (later[0].hits_before if later else total) - run.hits_before


def _last_commit(run: Run, books: Books | None) -> float:
    if not run.died:
        return run.ended
    known = books is not None and books.run_died and books.run_began >= run.began - 1
    return books.last_commit if known and books is not None else 0.0


def _slow(hits: list[Hit], moment: float) -> int:
    """The pages that may be inside a callback, or the one that takes longer than anything else to download."""
    recent = [hit for hit in hits if hit.when > moment - LONG]
    return sum(hit.page.startswith("GET /slow/") for hit in recent) + sum(hit.page == "GET /tar" for hit in hits)


def _families(hits: list[Hit], moment: float) -> int:
    """The hits of pages that wait for requests of theirs which run from memory: parent, child and grandchild."""
    last = {hit.page: hit.when for hit in hits}
    waiting = 0
    for page in last:
        path, _, number = page.partition("GET /")[2].rpartition("/")
        if path == "slow":
            family = [page, f"GET /memo/{number}000", f"GET /memo/{number}0001"]
        elif path == "detail" and number.endswith("8"):
            family = [page, f"GET /memo/{number}", f"GET /memo/{number}1"]
        else:
            continue
        if last.get(family[-1], moment) > moment - LONG / 2:
            waiting += sum(member in last for member in family)
    return waiting
