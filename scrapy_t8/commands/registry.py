"""What a command of ``scrapy t8`` tells about itself, and the list of all of them.

A new command is a module with ``COMMANDS``, and its name in :data:`MODULES`.
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
"""In the order in which the help lists them."""

FINE, FAILED, MISUSED, DIFFERENT, ALARMED = 0, 1, 2, 3, 4
"""Exit statuses. Those of a shell for what is interrupted: 130 by Ctrl-C, 141 by a reader that went away."""
INTERRUPTED, UNREAD = 130, 141
CHANGES = "A crawl must not be using the job; a service may, and need not be stopped."
"""Of commands that change something."""
MEANING = {FINE: "all is well", FAILED: "it could not be done", MISUSED: "the command cannot be used like this"}


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or a family of them.

    :param name: as it is typed.
    :param help: one line, for lists.
    :param about: what else is to be known before it is used.
    :param examples: what to type after ``scrapy t8``, and what for.
    :param arguments: adds its own arguments to a parser.
    :param run: does it, and returns the exit status.
    :param finds_job: whether it is about a job, and so takes ``--jobdir``.
    :param has_json: whether it takes ``--json``, as each does that looks at something.
    :param statuses: what exit statuses mean besides those that all commands have.
    :param family: the commands below this one, which then does nothing by itself.
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
    """All of them."""
    modules = (import_module(f"{__package__}.{name}") for name in MODULES)
    return [command for module in modules for command in module.COMMANDS]
