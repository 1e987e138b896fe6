"""What a person can do about a job that is not complete. The log, ``status`` and report.html show these commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from scrapy_t8.config.causes import Accepted
from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.text import counted
from scrapy_t8.utils.times import local_time, parse_time

HEALED = ("no_item", "dropped", "failed", "discarded", "never_linked")
"""Causes of missing items for which ``heal`` requests the item again. Dead letters are revived."""

Document = Mapping[str, Any]


@record_class(frozen=True, slots=True)
class Step:
    """One thing to do.

    :param text: a command, or a line of settings.py.
    :param then: what comes after it.
    """

    what: str
    text: str
    then: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.text}{', ' if self.then else ''}{self.then}"


def next_steps(document: Document, jobdir: Path) -> list[Step]:
    """Return all that can be done now about the job in *jobdir*."""
    steps = (revive_step(document, jobdir), heal_step(document, jobdir), accept_step(document))
    return [step for step in steps if step]


def what_follows(document: Document) -> str:
    """Return what the same command does after this run of a job that is not complete; else an empty text."""
    requests, is_finished = document["ledger"]["requests"], document["job"]["finished"]
    if document["running"] or (is_finished and document["verdict"] == "complete"):
        return ""
    if is_finished:
        kept_until = document["job"].get("kept_until")  # a report of an earlier release does not have it
        if kept_until and parse_time(kept_until) > parse_time(document["generated"]):
            until = local_time(parse_time(kept_until).timestamp())
            return f"this job has finished, so the same command alone requests nothing until {until} (T8_SKIP_FINISHED)"
        return "this job has finished, so the same command alone begins a new one"
    left = requests["ready"] + requests["waiting"] + requests["leased"]
    are = counted(left, "request is", "requests are")
    return f"the same command continues this job: {are} left" if left else "the same command finishes this job"


def revive_step(document: Document, jobdir: Path) -> Step | None:
    """Return the step that tries the dead letters again, if there are any whose cause is not accepted."""
    if document["running"] or not any(row["dead"] for row in open_causes(document)):
        return None
    return Step("try again", f"scrapy t8 failed revive --jobdir {quote(str(jobdir))}", "then the same crawl")


def heal_step(document: Document, jobdir: Path) -> Step | None:
    """Return the step that fetches missing items again, if some are missing for another cause than a dead letter."""
    causes = {row["cause"] for row in document["missing"]["causes"] if not row["accepted"]}
    if document["running"] or causes.isdisjoint(HEALED):
        return None
    return Step("fetch missing items again", f"scrapy t8 heal --jobdir {quote(str(jobdir))}", "then the same crawl")


def accept_step(document: Document) -> Step | None:
    """Return the step that accepts all causes at once, those of requests and those of feeds."""
    names = [row["cause"] for row in open_causes(document)]
    names += [cause for feed in document["feeds"] for cause in feed["doubts"]]
    if not names:
        return None
    return Step("accept these causes, in settings.py", Accepted(document["without_result"]["accept"]).line_with(names))


def show_command(letter: int, jobdir: Path) -> str:
    """Return the command that shows all that is known of a dead letter."""
    return f"scrapy t8 failed show --jobdir {quote(str(jobdir))} {letter}"


def open_causes(document: Document) -> list[dict[str, Any]]:
    """Return the causes of requests without a result that are not accepted."""
    return [row for row in document["without_result"]["causes"] if not row["accepted"]]
