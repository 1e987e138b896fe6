"""What is remembered of the attempts of a request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

HISTORY = 20
"""Attempts of one request whose errors are kept."""


@dataclass(slots=True)
class AttemptHistory:
    """What has become of a request in earlier attempts."""

    attempts: list[tuple[float, str, str]] = field(default_factory=list)
    """The latest failures: (Unix seconds, kind, error)."""
    counts: dict[str, int] = field(default_factory=dict)
    """Failures charged to it, by kind."""
    delivered: list[int] = field(default_factory=list)
    """Fingerprints of the records that are in the feeds although the page has failed."""
    task_type: str = ""
    target: str = ""
    max_retries: int = 0

    def add(self, when: float, kind: str, error: str, *, charged: bool) -> None:
        """One more attempt has failed."""
        self.attempts = [*self.attempts, (when, kind, error)][-HISTORY:]
        if charged:
            self.counts[kind] = self.counts.get(kind, 0) + 1

    @property
    def retries(self) -> int:
        """Failures charged so far, of all kinds."""
        return sum(self.counts.values())

    def dumps(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def loads(cls, text: str | None) -> AttemptHistory:
        story = cls(**json.loads(text)) if text else cls()
        story.attempts = [(when, kind, error) for when, kind, error in story.attempts]
        return story


@dataclass(frozen=True, slots=True)
class ScheduledRetry:
    """An entry that failed and is due again later. Keeps the id that it had in its queue."""

    id: int
    due: float
    slot: str
    payload: bytes
    story: str
