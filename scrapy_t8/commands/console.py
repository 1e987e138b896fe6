"""What commands say: lines, tables, JSON. Nothing that comes from a crawl can do anything to a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

from scrapy_t8.config.settings import MASK
from scrapy_t8.errors import CommandError
from scrapy_t8.report.mask import Mask
from scrapy_t8.utils.text import escape_surrogates, printable

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 10_000
"""Columns of what is no terminal: there, nothing is wrapped or cut off."""

Row = Sequence[object]


class Terminal:
    """Where a command speaks. Secrets are hidden by ``mask``; without one, they are shown."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._began = False
        self.mask: Mask | None = Mask(MASK)

    def say(self, line: str = "") -> None:
        """One line, whatever is in it."""
        self._out.write(self._shown(line) + "\n")
        self._out.flush()
        self._began = True

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Rows of values. Columns of numbers, whose names begin with ``#``, stand to the right."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        console = self._console()
        table = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
        for name in columns:
            right = name.startswith("#")
            table.add_column(name.lstrip("#"), justify="right" if right else "left", no_wrap=right, overflow="fold")
        for row in rows:
            table.add_row(*(Text(self._shown(_text(value))) for value in row))
        self._out.write("\n" if self._began else "")
        self._began = True
        console.print(Text(self._shown(title), style="bold"))
        with console.capture() as drawn:
            console.print(table)
        for line in drawn.get().splitlines():
            self._out.write(line.rstrip() + "\n")

    def json(self, document: Any) -> None:
        """A JSON document."""
        self._out.write(dumped(self.masked(document), self._out, 1) + "\n")

    def masked(self, document: Any, *, given: bool = False) -> Any:
        """*document* without secrets; *given*: also without whatever has the name of one."""
        return document if self.mask is None else self.mask.all(document, given=given)

    def agrees(self, question: str, *, yes: bool) -> bool:
        """Whether the user says yes, unless that was said before.

        :raises CommandError: if nobody can be asked.
        """
        if yes:
            return True
        if not sys.stdin.isatty():
            raise CommandError(f"{self._shown(question)} There is nobody to ask: give --yes. Nothing was changed")
        try:
            answer = input(f"{self._shown(question)} [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() in ("y", "yes"):
            return True
        self.say("Nothing was changed.")
        return False

    def _console(self) -> Console:
        from rich.console import Console

        console = Console(file=self._out, highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = WIDE
        return console

    def _shown(self, text: str) -> str:
        return printable(text if self.mask is None else self.mask.text(text))


def dumped(document: Any, file: IO[str], indent: int | None = None) -> str:
    """*document* as JSON that *file* can take."""
    readable = (getattr(file, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(document, ensure_ascii=not readable, indent=indent, default=str)
    return escape_surrogates(text)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
