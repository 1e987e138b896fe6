"""Everything that one commit makes durable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .attempts import ScheduledRetry
from .dead_letter import DeadLetter
from .entry import QueueRecord
from .items import ExpectationChange, ItemKey, ItemLoss


@dataclass(frozen=True, slots=True)
class PointRecord:
    """A resume point as it is stored.

    :param name: tells several of one task type apart; may be empty.
    :param updated: in Unix seconds.
    :param record: JSON of the :class:`~scrapy_t8.model.resume_point.ResumePoint`.
    :param track: JSON of what is settled beyond it; empty for a point set by hand.
    :param historic: also to be kept as history.
    """

    task_type: str
    name: str
    updated: float
    record: str
    track: str = ""
    historic: bool = False


@dataclass(slots=True)
class CommitBatch:
    """Everything that one commit changes. All of it happens, or none."""

    added: list[tuple[int, bytes, str | None]] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    buried: list[DeadLetter] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    spawned: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(parent, fingerprint, child, attempt): what a page not yet settled has brought about."""
    inherited: list[tuple[int, int]] = field(default_factory=list)
    """(old, new): a retry or redirect that takes over what the old entry has spawned."""
    waiting: list[ScheduledRetry] = field(default_factory=list)
    woken: list[int] = field(default_factory=list)
    """Ids that wait no longer."""
    resolved: list[int] = field(default_factory=list)
    """Fingerprints of requests that have succeeded: their dead letters can go."""
    hosts: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """What has changed about the health of hosts, by download slot; None for one that is well again."""
    forgotten: list[int] = field(default_factory=list)
    """Parents that have settled: what they spawned need not be remembered."""
    queues: list[QueueRecord] = field(default_factory=list)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: list[PointRecord] = field(default_factory=list)
    expected: dict[int, ExpectationChange] = field(default_factory=dict)
    """By the hash of their key, items that are announced, brought nearer, collected or missed."""
    came: list[int] = field(default_factory=list)
    """Those that were collected, each by a request that was to bring it, and of which there is no more to say."""
    announced: dict[str, int] = field(default_factory=dict)
    """How many items there are, by who says so."""
    items: list[ItemKey] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    """Keys of items of earlier jobs that were there again, and not exported."""
    superseded: list[int] = field(default_factory=list)
    """Which of the exported items, counted from 0, a later one has taken the place of."""
    losses: list[ItemLoss] = field(default_factory=list)
    tally: dict[tuple[str, str], int] = field(default_factory=dict)
    """(what, of what): how many more."""
    moment: tuple[int, int, int] = (0, 0, 0)
    """Pages, items and retries since the last commit."""
    kept: dict[str, bytes] = field(default_factory=dict)
    """What the job keeps besides, by name."""

    @property
    def has_failures(self) -> bool:
        """Whether anything failed, or came back."""
        return bool(self.waiting or self.woken or self.buried or self.resolved or self.hosts)
