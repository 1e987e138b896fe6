"""Everything that one commit makes durable."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from scrapy_t8.errors import FormatError
from scrapy_t8.utils.text import to_json

from .attempts import ScheduledRetry
from .dead_letter import DeadLetter
from .entry import QueueRecord
from .items import ExpectationChange, ItemKey, ItemLoss
from .json_document import compressed

if TYPE_CHECKING:
    from .resume_point import ResumePoint


class PointRecord(NamedTuple):
    """A resume point as it is stored.

    :param name: distinguishes several points of one task type; may be empty.
    :param updated: in Unix seconds.
    :param record: JSON of the :class:`~scrapy_t8.model.resume_point.ResumePoint`.
    :param track: JSON of the positions settled beyond the point; empty for a point that no crawl has set.
    :param historic: whether to add the point to the history, too.
    """

    task_type: str
    name: str
    updated: float
    record: str
    track: str = ""
    historic: bool = False

    @classmethod
    def of(
        cls,
        point: ResumePoint,
        name: str,
        *,
        updated: float,
        historic: bool = False,
        compress: bool = False,
        track: str = "",
    ) -> PointRecord:
        """Return the stored form of *point*. With *compress*, large metadata is compressed."""
        document = point.to_dict()
        if compress:
            document["metadata"] = compressed(point.metadata)
        return cls(point.task_type, name, updated, to_json(document), track, historic)

    def point(self) -> ResumePoint:
        """Return the resume point.

        :raises FormatError: if the stored JSON is not one, as after a change by hand.
        """
        from .resume_point import ResumePoint

        try:
            return ResumePoint.from_dict(json.loads(self.record))
        except ValueError as error:
            raise FormatError(f"the resume point {self.task_type} {self.name} is not JSON: {error}") from None


@dataclass(slots=True, eq=False, repr=False)
class CommitBatch:
    """Everything that one commit changes: all of it, or nothing."""

    added: list[tuple[int, bytes, str | None]] = field(default_factory=list)  # (id, payload, story) of new entries
    removed: list[int] = field(default_factory=list)
    buried: list[DeadLetter] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    spawned: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(parent, fingerprint, child, attempt) of requests that an unsettled page has yielded."""
    inherited: list[tuple[int, int]] = field(default_factory=list)
    """(old, new): a retry or redirect that takes over the children of the old entry."""
    waiting: list[ScheduledRetry] = field(default_factory=list)
    reactivated: list[int] = field(default_factory=list)  # Ids of entries that wait no longer
    resolved: list[int] = field(default_factory=list)
    """Fingerprints of requests that have succeeded, so that their dead letters can go."""
    hosts: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """The changed states of hosts, by download slot; None for a host that is up again."""
    forgotten: list[int] = field(default_factory=list)
    """Parents that have settled, whose children need not be remembered."""
    queues: list[QueueRecord] = field(default_factory=list)
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: list[PointRecord] = field(default_factory=list)
    expected: dict[int, ExpectationChange] = field(default_factory=dict)
    """Changes of expected items, by the hash of their key."""
    collected: list[int] = field(default_factory=list)
    """Expected items that their only request has collected (the common case)."""
    announced: dict[str, int] = field(default_factory=dict)  # Announced numbers of items, by source
    items: list[ItemKey] = field(default_factory=list)
    touched: list[int] = field(default_factory=list)
    """Keys of items of earlier jobs that were scraped again, and not exported."""
    superseded: list[int] = field(default_factory=list)  # Exported items, counted from 0, that a later one has replaced
    losses: list[ItemLoss] = field(default_factory=list)
    tally: dict[tuple[str, str], int] = field(default_factory=dict)  # Increments of counters, by (what, name)
    progress: tuple[int, int, int] = (0, 0, 0)  # Pages, items and retries since the last commit
    kept: dict[str, bytes] = field(default_factory=dict)  # Other data of the job, by name

    @property
    def has_failures(self) -> bool:
        """Whether the batch changes anything about failed requests."""
        return bool(self.waiting or self.reactivated or self.buried or self.resolved or self.hosts)
