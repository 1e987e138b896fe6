"""``scrapy t8 failed revive`` and ``failed discard``: try again, or throw away for good."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

from scrapy_t8.commands.context import CommandContext, JobView, OwnedJob
from scrapy_t8.commands.registry import CHANGES, FAILED, FINE, Command
from scrapy_t8.model.dead_letter import LetterFilter

from . import selection
from .filters import add_filters


@dataclass(frozen=True, slots=True)
class Selection:
    """What is going to be changed: dead letters, and tasks of a service that wait."""

    letters: tuple[int, ...]
    waiting: tuple[int, ...]
    of_service: bool

    def __len__(self) -> int:
        return len(self.letters) + len(self.waiting)


def _choose(look: JobView, options: argparse.Namespace, *, also_waiting: bool) -> Selection:
    if not look.of_service:
        return Selection(tuple(letter.id for letter in selection.letters(look, options)), (), of_service=False)
    found = list(selection.tasks(look, options))
    waiting = [task.entry for task in found if task.entry is not None and also_waiting]
    letters = [task.letter for task in found if task.letter is not None]
    return Selection(tuple(letters), tuple(waiting), of_service=True)


# -- the commands ------------------------------------------------------------------------------------------------


def _revive(call: CommandContext) -> int:
    return _change(call, "revive", "tried again from the beginning", _revived, also_waiting=False)


def _discard(call: CommandContext) -> int:
    return _change(call, "discard", "thrown away for good", _discarded, also_waiting=True)


def _change(
    call: CommandContext, verb: str, what: str, change: Callable[[OwnedJob, Selection], int], *, also_waiting: bool
) -> int:
    options, screen = call.options, call.screen
    with call.looking() as look:
        choice = _choose(look, options, also_waiting=also_waiting)
    noun = "task" if choice.of_service else "dead letter"
    told = f"{len(choice):,} {noun}{'' if len(choice) == 1 else 's'}"
    if options.dry_run or (not choice.letters and not choice.waiting):
        screen.say(f"{told} would be {what}." if len(choice) else f"There is no such {noun}: nothing was changed.")
        return FINE
    named = len(choice) == 1 and bool(options.ids)
    if not screen.agrees(f"{verb.capitalize()} {told}?", yes=options.yes or (named and verb == "revive")):
        return FAILED
    # Just those that were asked about, whatever has come meanwhile.
    with call.owning(of_service=choice.of_service) as owned:
        changed = change(owned, choice)
    screen.say(f"{changed:,} of {told} {'is' if changed == 1 else 'are'} {what}.")
    if changed < len(choice):
        screen.say(WHY_NOT[verb])
    if verb == "revive" and changed and not choice.of_service:
        screen.say("Run the crawl again: it fetches them.")
    return FINE


WHY_NOT = {
    "revive": "The others stay: their requests could not be stored, or they have left the box meanwhile.",
    "discard": "The others stay: somebody is at work on them, or they have left meanwhile.",
}


def _revived(owned: OwnedJob, choice: Selection) -> int:
    return owned.box.revive(LetterFilter(ids=choice.letters), owned.job, time.time())


def _discarded(owned: OwnedJob, choice: Selection) -> int:
    discarded = owned.box.discard(LetterFilter(ids=choice.letters), owned.job) if choice.letters else 0
    if owned.tasks is not None:
        discarded += sum(owned.tasks.remove(entry) for entry in choice.waiting)
    return discarded


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="only tell how many there are")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    add_filters(parser)


REVIVE = Command(
    "revive",
    "Have what failed tried again.",
    (
        ("failed revive 17", "one dead letter"),
        ("failed revive --kind host --since 1h --dry-run", "how many would it be?"),
        ("failed revive --kind host --since 1h --yes", "that many, without being asked"),
    ),
    _arguments,
    _revive,
    about=f"You are asked before, unless it is one that you name. {CHANGES}",
    statuses={FAILED: "it could not be done, or you said no"},
)
DISCARD = Command(
    "discard",
    "Throw away what failed, for good.",
    (
        ("failed discard --status 404", "what is not there; you are asked before"),
        ("failed discard --until 30d --yes", "what is older than 30 days, without being asked"),
    ),
    _arguments,
    _discard,
    about=f"You are asked before. {CHANGES}",
    statuses={FAILED: "it could not be done, or you said no"},
)
