"""``scrapy t8 failed revive`` and ``failed discard``: try again, or give up for good."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

from scrapy_t8.commands.context import CommandContext, JobView, OwnedJob
from scrapy_t8.commands.registry import CHANGES, ERROR, OK, Command
from scrapy_t8.model.dead_letter import LetterFilter

from . import selection
from .filters import add_filters


@dataclass(frozen=True, slots=True)
class Selection:
    """What is going to be changed: dead letters, and tasks of a service that wait."""

    letters: tuple[int, ...]
    waiting: tuple[int, ...]
    is_service: bool

    def __len__(self) -> int:
        return len(self.letters) + len(self.waiting)


@dataclass(frozen=True, slots=True)
class Change:
    """One of the two changes, and how the command words it."""

    verb: str
    done: str
    why_not: str
    apply: Callable[[OwnedJob, Selection], int]
    also_waiting: bool
    """Whether tasks that wait are changed, too."""


def _select(view: JobView, options: argparse.Namespace, *, also_waiting: bool) -> Selection:
    if not view.is_service:
        return Selection(tuple(letter.id for letter in selection.letters(view, options)), (), is_service=False)
    found = list(selection.tasks(view, options))
    waiting = [task.entry for task in found if task.entry is not None and also_waiting]
    letters = [task.letter for task in found if task.letter is not None]
    return Selection(tuple(letters), tuple(waiting), is_service=True)


def _change(context: CommandContext, change: Change) -> int:
    options, terminal = context.options, context.terminal
    with context.view() as view:
        selected = _select(view, options, also_waiting=change.also_waiting)
    noun = "task" if selected.is_service else "dead letter"
    what = f"{len(selected):,} {noun}{'' if len(selected) == 1 else 's'}"
    if options.dry_run or not len(selected):
        line = f"{what} would be {change.done}." if len(selected) else f"There is no such {noun}: nothing was changed."
        terminal.print_line(line)
        return OK
    is_named = len(selected) == 1 and bool(options.ids)
    if not terminal.confirm(f"{change.verb} {what}?", yes=options.yes or (is_named and change is REVIVAL)):
        return ERROR
    # Only what the user has confirmed, whatever has failed meanwhile.
    with context.open_for_changes(is_service=selected.is_service) as owned:
        changed = change.apply(owned, selected)
    terminal.print_line(f"{changed:,} of {what} {'is' if changed == 1 else 'are'} {change.done}.")
    if changed < len(selected):
        terminal.print_line(change.why_not)
    if change is REVIVAL and changed and not selected.is_service:
        terminal.print_line("Run the crawl again: it fetches them.")
    return OK


def _revive(owned: OwnedJob, selected: Selection) -> int:
    return owned.box.revive(LetterFilter(ids=selected.letters), owned.job, time.time())


def _discard(owned: OwnedJob, selected: Selection) -> int:
    discarded = owned.box.discard(LetterFilter(ids=selected.letters), owned.job) if selected.letters else 0
    if owned.tasks is not None:
        discarded += sum(owned.tasks.remove(entry) for entry in selected.waiting)
    return discarded


REVIVAL = Change(
    "Revive",
    "tried again from the beginning",
    "The others stay: their requests could not be stored, or they have left the box meanwhile.",
    _revive,
    also_waiting=False,
)
DISCARDING = Change(
    "Discard",
    "discarded for good",
    "The others stay: they are leased, or have left the box meanwhile.",
    _discard,
    also_waiting=True,
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="only show how many there are")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    add_filters(parser)


REVIVE = Command(
    "revive",
    "Try again what failed.",
    (
        ("failed revive 17", "one dead letter"),
        ("failed revive --kind host --since 1h --dry-run", "how many would it be?"),
        ("failed revive --kind host --since 1h --yes", "all of these, without a question"),
    ),
    _arguments,
    lambda context: _change(context, REVIVAL),
    about=f"It asks first, unless a single ID is given. {CHANGES}",
    statuses={ERROR: "it could not be done, or you said no"},
)
DISCARD = Command(
    "discard",
    "Discard what failed, for good.",
    (
        ("failed discard --status 404", "pages that do not exist; it asks first"),
        ("failed discard --until 30d --yes", "what failed more than 30 days ago, without a question"),
    ),
    _arguments,
    lambda context: _change(context, DISCARDING),
    about=f"It asks first. {CHANGES}",
    statuses={ERROR: "it could not be done, or you said no"},
)
