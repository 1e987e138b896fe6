"""What describes a command of ``scrapy t8``, and the list of all commands.

A new command is a module with ``COMMANDS``, and the name of the module in :data:`MODULES`.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from dataclasses import field
from importlib import import_module
from typing import Any

from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.files import STDOUT

from .context import CommandContext

MODULES = (
    *("status.status", "failed.listing", "resume_points", "audit.report", "audit.verify", "audit.heal"),
    *("transfer.export_import", "selfcheck.commands", "selfcheck.help"),
)
"""In the order of the help."""

OK, ERROR, USAGE, MISMATCH, ALERTS = 0, 1, 2, 3, 4  # Exit statuses
INTERRUPTED, BROKEN_PIPE = 130, 141  # The exit statuses of a shell: for Ctrl-C, and for a reader that has gone away
CHANGES = "A crawl must not be using the job. A service may use it and need not be stopped."
"""A note about commands that change something."""
MEANING = {OK: "all is well", ERROR: "it could not be done", USAGE: "the command cannot be used like this"}

Run = Callable[[CommandContext], int]  # Runs a command and returns its exit status
Argument = Callable[[argparse.ArgumentParser], object]  # Adds one or more arguments to the parser of a command


@record_class(frozen=True, slots=True)
class Command:
    """A command, or a family of commands.

    :param name: the word that is typed.
    :param help: one line, for lists.
    :param examples: what to type after ``scrapy t8``, and what it does.
    :param about: what else to know before using the command.
    :param finds_job: whether the command is about a job, and so takes ``--jobdir``.
    :param has_json: whether the command takes ``--json``.
    :param statuses: what exit statuses mean, beside those that all commands have.
    :param family: the commands below this one, which then does nothing by itself.
    """

    name: str
    help: str
    examples: Sequence[tuple[str, str]]
    about: str = ""
    arguments: Sequence[Argument] = ()
    run: Run | None = None
    finds_job: bool = True
    has_json: bool = False
    statuses: dict[int, str] = field(default_factory=dict)
    family: Sequence[Command] = ()


def command(name: str, *arguments: Argument, note: str = "", **options: Any) -> Callable[[Run], Command]:
    """Return a decorator that makes a function the command *name*.

    The docstring of the function is the help: a line, the examples as ``what to type  # what it does``, and what else
    to know, to which *note* is added. *options* are further fields of the :class:`Command`.
    """

    def make(run: Run) -> Command:
        line, typed, about = f"{inspect.getdoc(run) or name}\n\n\n\n".split("\n\n", 2)
        examples = [tuple(example.split("  # ")) for example in typed.splitlines()]
        about = " ".join([*about.split(), *note.split()])
        return Command(name, line, examples, about, arguments, run, **options)  # type: ignore[arg-type]

    return make


def argument(*names: str, **options: Any) -> Argument:
    """Return what adds an argument, as :meth:`argparse.ArgumentParser.add_argument` does."""
    return lambda parser: parser.add_argument(*names, **options)


def flag(*names: str, text: str) -> Argument:
    """Return what adds an argument without a value."""
    return argument(*names, action="store_true", help=text)


def output(text: str) -> Argument:
    """Return what adds the file that a command writes; without one, it writes to standard output."""
    return argument("-o", "--output", dest="file", metavar="FILE", default=STDOUT, help=text)


YES = flag("-y", "--yes", text="do not ask")


def commands() -> list[Command]:
    """Return all commands."""
    modules = (import_module(f"{__package__}.{name}") for name in MODULES)
    return [command for module in modules for command in module.COMMANDS]
