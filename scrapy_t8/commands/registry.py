"""What describes a command of ``scrapy t8``, and the list of all commands.

A new command is a module with ``COMMANDS``, and the name of the module in :data:`MODULES`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from .context import CommandContext

MODULES = (
    *("status.status", "failed.listing", "resume_points", "audit.report", "audit.verify", "audit.heal"),
    *("transfer.export_import", "selfcheck.commands"),
)
"""In the order of the help."""

OK, ERROR, USAGE, MISMATCH, ALERTS = 0, 1, 2, 3, 4
"""Exit statuses."""
INTERRUPTED, BROKEN_PIPE = 130, 141
"""The exit statuses of a shell: for Ctrl-C, and for a reader that has gone away."""
CHANGES = "A crawl must not be using the job. A service may use it and need not be stopped."
"""A note about commands that change something."""
MEANING = {OK: "all is well", ERROR: "it could not be done", USAGE: "the command cannot be used like this"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a family of commands.

    :param name: the word that is typed.
    :param help: one line, for lists.
    :param examples: what to type after ``scrapy t8``, and what it does.
    :param arguments: adds the arguments of the command to a parser.
    :param run: runs the command and returns the exit status.
    :param finds_job: whether the command is about a job, and so takes ``--jobdir``.
    :param has_json: whether the command takes ``--json``.
    :param statuses: what exit statuses mean, beside those that all commands have.
    :param family: the commands below this one, which then does nothing by itself.
    :param about: what else to know before using the command.
    """

    name: str
    help: str
    examples: Sequence[tuple[str, str]]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    run: Callable[[CommandContext], int] | None = None
    finds_job: bool = True
    has_json: bool = False
    statuses: dict[int, str] = field(default_factory=dict)
    family: Sequence[Command] = ()
    about: str = ""


def commands() -> list[Command]:
    """Return all commands."""
    modules = (import_module(f"{__package__}.{name}") for name in MODULES)
    return [command for module in modules for command in module.COMMANDS]
