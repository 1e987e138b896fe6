"""What the call says that has brought the program here: the arguments of the spider, and the command that runs."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from scrapy.crawler import Crawler

if TYPE_CHECKING:
    from scrapy.commands import ScrapyCommand


def spider_arguments(crawler: Crawler) -> dict[str, Any] | None:
    """Return the arguments of the spider, read off the call that is making it; None if that call is not there."""
    for frame in _callers():
        names = frame.f_locals
        if frame.f_code.co_name in ("crawl", "crawl_async") and names.get("self") is crawler:
            positional = {str(i): value for i, value in enumerate(names.get("args", ()))}
            return {**positional, **names.get("kwargs", {})}
    return None


_exit_statuses: dict[object, int] = {}
"""The exit status of each crawl that a command runs."""


def set_exit_status(crawl: object, status: int) -> None:
    """Have the command that runs *crawl*, if there is one, end with *status*, unless the command fails by itself.

    Of the statuses of several crawls, the lowest that is not 0 counts.
    """
    command = running_command()
    if command is not None:
        if not _exit_statuses:
            atexit.register(_insist, command)
        fails_by_itself = command.exitcode not in (0, _worst())
        _exit_statuses[crawl] = status
        command.exitcode = command.exitcode if fails_by_itself else _worst()


def _worst() -> int:
    return min(filter(None, _exit_statuses.values()), default=0)


def _insist(command: ScrapyCommand) -> None:
    """End the process with the status of its crawls, although code of the project may end it with ``sys.exit(0)``."""
    if _worst() and command.exitcode == _worst():
        atexit.unregister(_insist)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_worst())


def is_inspection_command() -> bool:
    """Whether this is ``scrapy shell``, ``fetch``, ``view``, ``parse``, ``check`` or ``bench``: no crawl to resume."""
    command = running_command()
    if command is None:
        return False
    parse = sys.modules.get("scrapy.commands.parse")
    is_crawl = isinstance(command, sys.modules["scrapy.commands"].BaseRunSpiderCommand)
    return not is_crawl or (parse is not None and isinstance(command, parse.Command))


def running_command() -> ScrapyCommand | None:
    """Return the command of Scrapy that has brought us here."""
    module = sys.modules.get("scrapy.commands")
    if module is None:
        return None
    commands = (frame.f_locals.get("self") for frame in _callers() if frame.f_code.co_name == "run")
    return next((found for found in commands if isinstance(found, module.ScrapyCommand)), None)


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
