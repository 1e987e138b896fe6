"""The command line of ``scrapy t8``: parsers made from the registry, and the exit status of each call."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from scrapy.settings import BaseSettings

from scrapy_t8.errors import CommandError, ConfigError, T8Error, remedy
from scrapy_t8.utils.log.mask import NAMES, Mask
from scrapy_t8.utils.text import printable

from .console import Terminal
from .context import CommandContext
from .registry import BROKEN_PIPE, ERROR, INTERRUPTED, MEANING, OK, USAGE, Command, commands


class Parser(argparse.ArgumentParser):
    """The parser of one command. It reports an error on one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {printable(message)}. See {self.prog} --help\n")


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add all commands to the *parser* of ``scrapy t8``."""
    parser.set_defaults(command=None, usage=parser.print_help)
    _add_family(parser, commands(), "scrapy t8")


def _add_family(parser: argparse.ArgumentParser, family: list[Command], prog: str) -> None:
    below = parser.add_subparsers(title="Commands", metavar="COMMAND", prog=prog, parser_class=Parser)
    for command in family:
        own = below.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help} {command.about}".strip(),
            epilog=_epilog(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if command.family:
            own.set_defaults(command=None, usage=own.print_help)
            _add_family(own, list(command.family), f"{prog} {command.name}")
        else:
            own.set_defaults(command=command)
            for add in command.arguments:
                add(own)
            _add_common(own, command)


def _add_common(parser: argparse.ArgumentParser, command: Command) -> None:
    if command.has_json:
        parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        *("-s", "--set"),
        action="append",
        metavar="NAME=VALUE",
        default=argparse.SUPPRESS,
        help="a Scrapy setting, such as JOBDIR",
    )
    if command.finds_job:
        group = parser.add_argument_group("which job (if there may be several)")
        group.add_argument("--jobdir", metavar="DIR", help="its directory: a JOBDIR, or the T8_STATE_DIR of a service")
        group.add_argument("--spider", metavar="NAME", help="the job of this spider, if no JOBDIR is set")


def _epilog(command: Command) -> str:
    width = max((len(typed) for typed, _ in command.examples), default=0)
    lines = ["examples:", *(f"  scrapy t8 {typed:<{width}}  {what}" for typed, what in command.examples)]
    if not command.family:
        meaning = MEANING | command.statuses
        lines += ["", "exit status:", *(f"  {status}  {meaning[status]}" for status in sorted(meaning))]
    return "\n".join(lines)


def run(unknown: list[str], options: argparse.Namespace, settings: BaseSettings) -> int:
    """Run the command of *options* and return its exit status. *unknown* arguments are an error."""
    try:
        status = _run(unknown, options, settings)
        sys.stdout.flush()
    except (CommandError, ConfigError) as error:
        return _complain(str(error), USAGE)
    except T8Error as error:
        # The message is written for the start of a crawl, which is another command than this one.
        return _complain(str(error).replace("run the same command with -s", "run the crawl with -s"), ERROR)
    except BrokenPipeError:
        # What is left in the buffer has no reader; without this, the interpreter complains about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        return _complain(f"{error}. {remedy(error)}", ERROR)
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _run(unknown: list[str], options: argparse.Namespace, settings: BaseSettings) -> int:
    if unknown:
        raise CommandError(f"there is no such argument: {' '.join(unknown)}. See scrapy t8 --help")
    if options.command is None:
        options.usage()
        return OK
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    status: int = options.command.run(CommandContext(options, settings, Terminal(sys.stdout)))
    return status


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"scrapy t8: {printable(Mask(NAMES).text(' '.join(message.splitlines())))}\n")
    return status
