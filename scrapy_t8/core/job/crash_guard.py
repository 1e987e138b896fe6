"""For a moment after a death, nothing is leased before what was settled is durable."""

from __future__ import annotations

from collections.abc import Callable


class PostCrashCommits:
    """A page that kills the process before anything was committed would leave nothing to charge with the crash.

    :param seconds: how long the moment is, from the first lease on; 0 for a run that follows no death.
    :param clock: the time, in Unix seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether to commit before the next lease."""
        return bool(self._seconds) and (self._until is None or self._clock() < self._until)

    def leased(self) -> None:
        """A request has been leased."""
        if self._until is None:
            self._until = self._clock() + self._seconds
