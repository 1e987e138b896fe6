"""For a short time after a crash, commit before every lease."""

from __future__ import annotations

from collections.abc import Callable


class PostCrashCommits:
    """Says whether to commit before a lease.

    A page that kills the process before anything was committed would leave nothing to charge with the crash.

    :param seconds: how long every lease needs a commit, from the first lease on; 0 for a run that follows no crash.
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
        """Note that a request has been leased."""
        if self._until is None:
            self._until = self._clock() + self._seconds
