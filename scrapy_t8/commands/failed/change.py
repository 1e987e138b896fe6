"""``scrapy t8 failed revive`` and ``failed discard``: try again, or give up for good."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from scrapy_t8.commands.context import CommandContext, JobView, OwnedJob
from scrapy_t8.commands.registry import CHANGES, ERROR, OK, YES, command, flag
from scrapy_t8.model.dead_letter import LetterFilter

from . import selection


class Selection(NamedTuple):
    """What is going to be changed: dead letters, and tasks of a service that wait."""

    letters: tuple[int, ...]
    waiting: tuple[int, ...]
    is_service: bool


class Change(NamedTuple):
    """One of the two changes, and how the command words it."""

    verb: str
    done: str
    why_not: str
    apply: Callable[[OwnedJob, Selection], int]


def _select(view: JobView, options: argparse.Namespace, *, also_waiting: bool) -> Selection:
    if not view.is_service:
        return Selection(tuple(letter.id for letter in selection.letters(view, options)), (), is_service=False)
    found = list(selection.tasks(view, options))
    waiting = [task.waiting.id for task in found if task.waiting is not None and also_waiting]
    letters = [task.letter for task in found if task.letter is not None]
    return Selection(tuple(letters), tuple(waiting), is_service=True)


def _change(context: CommandContext, change: Change) -> int:
    options, terminal = context.options, context.terminal
    with context.view() as view:
        selected = _select(view, options, also_waiting=change is DISCARDING)
    noun, number = "task" if selected.is_service else "dead letter", len(selected.letters) + len(selected.waiting)
    what = f"{number:,} {noun}{'' if number == 1 else 's'}"
    if options.dry_run or not number:
        line = f"{what} would be {change.done}." if number else f"There is no such {noun}: nothing was changed."
        terminal.print_line(line)
        return OK
    # A revival takes nothing away. A script that could not answer would go on, and its crawl begin a new job.
    if not terminal.confirm(f"{change.verb} {what}?", yes=options.yes or change is REVIVAL):
        return ERROR
    # Only the letters that the user has confirmed: more requests may have failed since.
    with context.open_for_changes(is_service=selected.is_service) as owned:
        changed = change.apply(owned, selected)
    terminal.print_line(f"{changed:,} of {what} {'is' if changed == 1 else 'are'} {change.done}.")
    if changed < number:
        terminal.print_line(f"The others stay: {change.why_not}, or have left the box meanwhile.")
    if change is REVIVAL and changed and not selected.is_service:
        terminal.print_line("Run the crawl again: it fetches them.")
    return OK


def _revive(owned: OwnedJob, selected: Selection) -> int:
    revived = owned.box.revive(LetterFilter(ids=selected.letters), owned.job, time.time())
    if owned.tasks is not None:
        owned.tasks.join_doubles()
    return revived


def _discard(owned: OwnedJob, selected: Selection) -> int:
    discarded = owned.box.discard(LetterFilter(ids=selected.letters), owned.job) if selected.letters else 0
    if owned.tasks is not None:
        discarded += sum(owned.tasks.remove(entry) for entry in selected.waiting)
    return discarded


REVIVAL = Change("Revive", "tried again from the beginning", "their requests could not be stored", _revive)
DISCARDING = Change("Discard", "discarded for good", "they are leased", _discard)
DRY_RUN = flag("-n", "--dry-run", text="only show how many there are")
OPTIONS: dict[str, Any] = {"note": CHANGES, "statuses": {ERROR: "it could not be done, or you said no"}}


@command("revive", DRY_RUN, YES, selection.add_filters, **OPTIONS)
def revive(context: CommandContext) -> int:
    """Try again what failed.

    failed revive 17  # one dead letter
    failed revive --kind host --since 1h --dry-run  # how many would it be?
    failed revive --kind host --since 1h  # all of these
    """
    return _change(context, REVIVAL)


@command("discard", DRY_RUN, YES, selection.add_filters, **OPTIONS)
def discard(context: CommandContext) -> int:
    """Discard what failed, for good.

    failed discard --status 404  # pages that do not exist; it asks first
    failed discard --until 30d --yes  # what failed more than 30 days ago, without a question

    It asks first.
    """
    return _change(context, DISCARDING)
