"""The low-water mark of a named piece of work whose positions settle in any order. Pure arithmetic.

A position is a whole number: the number of a page, the place of a slug in its list. The *low-water mark* is the highest
position with nothing unsettled below it. Settled positions beyond the mark are remembered as ranges, so that a million
slugs past one that keeps failing take no more room than two numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from scrapy_t8.errors import FormatError

Value: TypeAlias = Mapping[str, Any]
"""The value of a position: its page, cursor or slug."""


class Watermark:
    """The settled positions of one piece of work.

    :param low: every position up to this one has settled.
    """

    def __init__(self, low: int = 0) -> None:
        self.low = low
        self.value: Value = {}
        """The value of the low-water mark."""
        self.high = low
        """The highest position that was ever admitted."""
        self.high_value: Value = {}
        self.beyond: list[tuple[int, int, Value]] = []
        """Ranges of settled positions above the low-water mark, in order: first, last, the value of the last."""
        self.total = 0
        """Units of work at and below the low-water mark, and beyond it."""
        self._open: dict[int, tuple[int, Value | None]] = {}
        """Positions that wait for their parts: the number of parts; the value, once the position itself has ended."""

    def admit(self, position: int, value: Value) -> None:
        """Record that the work on *position* will begin."""
        if position > self.high:
            self.high, self.high_value = position, value

    def settle(self, position: int, value: Value, units: int = 1) -> bool:
        """Record that *position* has ended, maybe before its parts. Return whether the low-water mark has moved."""
        parts, ended = self._open.get(position, (0, None))
        if ended is not None or self.is_settled(position):
            return False
        self.total += units
        if parts > 0:
            self._open[position] = (parts, value)
            return False
        self._open.pop(position, None)
        return self._pass(position, value)

    def admit_part(self, position: int) -> None:
        """Add a part: *position* does not settle before the part has."""
        parts, value = self._open.get(position, (0, None))
        self._open[position] = (parts + 1, value)

    def settle_part(self, position: int) -> bool:
        """Record that a part of *position* has ended. Return whether the low-water mark has moved."""
        parts, value = self._open.get(position, (0, None))
        if parts > 1:
            self._open[position] = (parts - 1, value)
            return False
        self._open.pop(position, None)
        return value is not None and self._pass(position, value)

    def is_settled(self, position: int) -> bool:
        """Whether *position* needs no more work."""
        if position <= self.low:
            return True
        index = self._index(position)
        return index < len(self.beyond) and self.beyond[index][0] <= position

    def unsettled(self) -> Iterator[int]:
        """Yield the admitted positions that have not settled, in order."""
        position = self.low + 1
        for first, last, _ in self.beyond:
            yield from range(position, first)
            position = last + 1
        yield from range(position, self.high + 1)

    def _pass(self, position: int, value: Value) -> bool:
        self.admit(position, value)
        if self.is_settled(position):
            return False
        self._insert(position, value)
        before = self.low
        while self.beyond and self.beyond[0][0] <= self.low + 1:
            _, self.low, self.value = self.beyond.pop(0)
        return self.low > before

    def _index(self, position: int) -> int:
        """Return the index of the first range that ends at *position* or later."""
        return bisect_left(self.beyond, position, key=lambda settled: settled[1])

    def _insert(self, position: int, value: Value) -> None:
        index = self._index(position)
        first, last = position, position
        if index < len(self.beyond) and self.beyond[index][0] == position + 1:
            _, last, value = self.beyond.pop(index)
        if index and self.beyond[index - 1][1] == position - 1:
            first = self.beyond.pop(index - 1)[0]
            index -= 1
        self.beyond.insert(index, (first, last, value))

    # -- stored form ---------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            "low": self.low,
            "value": self.value,
            "high": self.high,
            "high_value": self.high_value,
            "beyond": self.beyond,
            "total": self.total,
            "open": [[position, parts, value] for position, (parts, value) in self._open.items()],
        }

    @classmethod
    def load(cls, record: Mapping[str, Any]) -> Watermark:
        """Return the watermark of a stored form.

        :raises FormatError: if the stored form is invalid.
        """
        try:
            track = cls(_whole(record["low"]))
            track.value = dict(record["value"])
            track.high, track.high_value = _whole(record["high"]), dict(record["high_value"])
            track.beyond = [(_whole(first), _whole(last), dict(value)) for first, last, value in record["beyond"]]
            track.total = _whole(record["total"])
            track._open = {_whole(position): (_whole(parts), value) for position, parts, value in record["open"]}
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"a stored position is invalid: {error!r}", "track") from None
        bounds = [track.low, *(bound for first, last, _ in track.beyond for bound in (first - 1, last)), track.high]
        if bounds != sorted(bounds):
            raise FormatError("a stored position is invalid: its ranges are out of order", "track")
        return track


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return value
