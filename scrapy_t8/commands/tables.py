"""Tables and lines that fit a terminal: texts are cut, columns that matter less are left out, lines are wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

SHORTEST = 24
"""Characters that a text keeps as long as there are columns to be left out."""
GAP = 3
"""Characters between two columns."""
MARKS = "#*?"


class Column(NamedTuple):
    """A column of a table.

    :param is_number: whether the column is aligned to the right.
    :param is_text: whether long values may be cut.
    :param is_optional: whether a narrow terminal goes without the column.
    """

    name: str
    is_number: bool
    is_text: bool
    is_optional: bool

    @classmethod
    def of(cls, marked: str) -> Column:
        """Return the column of a name with marks before it: ``#`` for a number, ``*`` a text, ``?`` optional."""
        name = marked.lstrip(MARKS)
        marks = marked[: len(marked) - len(name)]
        return cls(name, *(mark in marks for mark in MARKS))


class Table(NamedTuple):
    """The columns of a table, and its rows."""

    columns: list[Column]
    rows: list[list[str]]

    @classmethod
    def of(cls, columns: Sequence[str], rows: Iterable[Iterable[str]]) -> Table:
        """Return the table of columns with marks, as :meth:`Column.of` reads them."""
        return cls([Column.of(name) for name in columns], [list(row) for row in rows])

    def fitted(self, width: int, mark: str = "…") -> Table:
        """Return this table for a terminal with *width* columns of characters. Where a text is cut is a *mark*."""
        lengths = [max(map(_length, column)) for column in zip(*self.rows, self._names(), strict=True)]
        kept = self._kept(lengths, width)
        texts = [at for at in kept if self.columns[at].is_text]
        room = _room(width, [lengths[at] for at in kept if at not in texts], len(kept))
        for at in sorted(texts, key=lengths.__getitem__):
            lengths[at] = max(1, min(lengths[at], room // len(texts)))
            room -= lengths[at]
            texts = texts[1:]
        rows = [[_cut(row[at], lengths[at], mark) for at in kept] for row in self.rows]
        return Table([self.columns[at] for at in kept], rows)

    def _names(self) -> list[str]:
        return [column.name for column in self.columns]

    def _kept(self, lengths: list[int], width: int) -> list[int]:
        """Return which columns have a place. The last optional one is left out first."""
        kept = list(range(len(self.columns)))
        optional = [at for at in kept if self.columns[at].is_optional]
        shortest = [
            min(length, SHORTEST) if column.is_text else length
            for length, column in zip(lengths, self.columns, strict=True)
        ]
        while optional and _room(width, [shortest[at] for at in kept], len(kept)) < 0:
            kept.remove(optional.pop())
        return kept


def _room(width: int, lengths: Sequence[int], columns: int) -> int:
    return width - sum(lengths) - GAP * columns


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _cut(text: str, length: int, mark: str) -> str:
    """Return *text* with at most *length* characters. The end of a URL says more than its beginning."""
    from rich.cells import set_cell_size

    if _length(text) <= length:
        return text
    if text.startswith(("http://", "https://")):
        return (mark + text[len(text) - length + len(mark) :])[:length]
    return (set_cell_size(text, length - len(mark)).rstrip() + mark)[:length] if length > len(mark) else mark[:length]


def wrapped(line: str, width: int) -> Iterator[str]:
    """Yield *line* in parts that fit *width*. A word that does not fit stays whole.

    A Chinese or Japanese character takes two columns. What only points at the line above, as a traceback does, would
    point at nothing in a line of its own: it is left out if it does not fit.
    """
    if _length(line) <= width or not line.strip():
        yield line
        return
    if set(line) <= set(" ^~"):
        return
    begin = line[: len(line) - len(line.lstrip())]
    first, *rest = re.split(r"(\s+)", line.strip())
    part = begin + first
    for gap, word in zip(rest[::2], rest[1::2], strict=True):
        if _length(part + gap + word) <= width:
            part += gap + word
        else:
            yield part
            part = f"{begin}    {word}"
    yield part
