"""For a short time after a crash, commit before every lease."""

from __future__ import annotations

from collections.abc import Callable


class PostCrashCommits:
    """Decides whether to commit before a lease.

    A page that kills the process before the first commit would leave no entry to charge with the crash.

    :param seconds: seconds, from the first lease on, in which every lease needs a commit; 0 without a crash.
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
        """Record that a request has been leased."""
        if self._until is None:
            self._until = self._clock() + self._seconds
