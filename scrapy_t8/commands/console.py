"""What commands print: lines, tables, JSON. Text of a crawl cannot control a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

from scrapy_t8.errors import CommandError
from scrapy_t8.utils.log.mask import NAMES, Mask
from scrapy_t8.utils.text import escape_surrogates, printable

from .tables import Table, wrapped

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 10_000  # Columns of an output that is not a terminal: there, no line is wrapped or cut

Row = Sequence[object]
STYLES = {
    (" COMPLETE", " RUNNING", "All counts match."): "green",
    (" INCOMPLETE", " KILLED", " STOPPED", " OPEN", " ALERT "): "yellow",
    (" UNBALANCED", "NOT PROVEN", "THE LEDGER DOES NOT BALANCE", " FEED ", " DOUBT"): "red",
    ("next:", "try again:"): "bold",
}
"""The style of words of a line, on a terminal with colours."""


class Terminal:
    """The output of a command. ``mask`` hides secrets; without it, they are shown."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._began = False
        self.mask: Mask | None = Mask(NAMES)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the output, with lines of a certain width."""
        return self._out.isatty()

    def print_line(self, line: str = "") -> None:
        """Print a line. A terminal shows its states in colour, and has no line break within a word."""
        text = self._display(line)
        if self.is_terminal:
            self._print_wrapped(text)
        else:
            self._out.write(text + "\n")
        self._out.flush()
        self._began = True

    def _print_wrapped(self, line: str) -> None:
        from rich.text import Text

        console = self._console()
        for part in wrapped(line, console.width):
            text = Text(part)
            for words, style in STYLES.items():
                text.highlight_words(words, style)
            console.print(text, no_wrap=True, overflow="ignore", crop=False)

    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=self._out, highlight=False, markup=False, emoji=False)

    def print_table(self, title: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Print rows of values. Marks before the name of a column are those of :meth:`.tables.Column.of`."""
        from rich import table as rich_table
        from rich.box import SIMPLE_HEAD
        from rich.text import Text

        console = self._console()
        shown = Table.of(columns, ([self._display(_text(value)) for value in row] for row in rows))
        if console.is_terminal:
            shown = shown.fitted(console.width, self._in_encoding("…", "..."))
        else:
            console.width = WIDE
        table = rich_table.Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
        for column in shown.columns:
            right = column.is_number
            table.add_column(column.name, justify="right" if right else "left", no_wrap=right, overflow="fold")
        for row in shown.rows:
            table.add_row(*map(Text, row))
        self._out.write("\n" if self._began else "")
        self._began = True
        # Rich ends the process when a pipe has no reader; write() raises BrokenPipeError, as everywhere else.
        with console.capture() as drawn:
            console.print(Text(self._display(title), style="bold"))
            console.print(table)
        for line in drawn.get().splitlines():
            self._out.write(line.rstrip() + "\n")

    @property
    def width(self) -> int | None:
        """The width of the terminal in characters; None if the output is not a terminal."""
        return self._console().width if self.is_terminal else None

    def print_markdown(self, text: str) -> None:
        """Print Markdown: laid out on a terminal, and elsewhere as it is written."""
        if not self.is_terminal:
            self._out.write(text)
            return
        from rich.markdown import Markdown

        self._console().print(Markdown(text, code_theme="ansi_dark", hyperlinks=False))

    def print_json(self, document: Any) -> None:
        self._out.write(json_text(self.masked(document), self._out, 1) + "\n")

    def masked(self, document: Any, *, given: bool = False) -> Any:
        """Return *document* without secrets, as :meth:`~scrapy_t8.utils.log.mask.Mask.all` does."""
        return document if self.mask is None else self.mask.all(document, given=given)

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Whether the user agrees, or has agreed already (*yes*). Without a terminal to answer on, it is an error."""
        if yes:
            return True
        if not sys.stdin.isatty():
            raise CommandError(
                f"{self._display(question)} There is no terminal to answer on: give --yes. Nothing was changed"
            )
        try:
            answer = input(f"{self._display(question)} [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() in ("y", "yes"):
            return True
        self.print_line("Nothing was changed.")
        return False

    def _display(self, text: str) -> str:
        return self._in_encoding(printable(text if self.mask is None else self.mask.text(text)))

    def _in_encoding(self, text: str, instead: str | None = None) -> str:
        """Return *text*, or what the output shows for characters that its encoding lacks: escapes, or *instead*."""
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.encode(encoding, "backslashreplace").decode(encoding) if instead is None else instead
        return text


def json_text(document: Any, file: IO[str], indent: int | None = None) -> str:
    """Return *document* as JSON that the encoding of *file* can express."""
    is_utf8 = (getattr(file, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return escape_surrogates(json.dumps(document, ensure_ascii=not is_utf8, indent=indent, default=str))


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
