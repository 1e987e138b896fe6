"""The records about items that pass between the packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack

from scrapy_t8.utils.classes import record_class

CULPRITS = 20
"""Different causes for which the items that a feed did not take are counted one by one."""


class ExportPlace(NamedTuple):
    """Where an exported item is, so that a later one can replace it (T8_DEDUP_POLICY = "last").

    :param position: its number among the exported items of its job, counted from 0.
    :param shape: its class and its filled fields.
    """

    position: int
    shape: bytes
    is_invalid: bool


class ItemKey(NamedTuple):
    """The key of an item that is exported.

    :param key: the hash of the key.
    :param text: the key as it is shown; None for an item that has only content.
    :param digest: digests of its fields, with the policy ``changed``.
    :param place: where it is exported, with the policy ``last``.
    """

    key: int
    text: str | None
    digest: bytes | None = None
    place: ExportPlace | None = None


class LastExport(NamedTuple):
    """The last export of an item: the number of the job, and of the run in that job; else as :class:`ItemKey`."""

    job: int
    run: int
    digest: bytes | None = None
    place: ExportPlace | None = None


class ItemOutcome(NamedTuple):
    """What became of an item that has left the pipelines.

    :param item: its number on its page.
    :param outcome: one of the four outcomes of the item ledger.
    :param shape: its class and its filled fields, if it is exported.
    :param loss: pipeline, reason and URL, if a pipeline has dropped it or failed.
    :param problems: rule, class, field and message of each problem of the item.
    """

    item: int
    outcome: int
    key: ItemKey | None = None
    shape: bytes = b""
    loss: tuple[str, str, str] | None = None
    problems: Sequence[Sequence[str]] = ()


def pack_notes(notes: Sequence[ItemOutcome]) -> bytes:
    """Return *notes* as bytes, to be spilled from memory."""
    data: bytes = msgpack.packb(notes)
    return data


def unpack_notes(data: bytes) -> list[ItemOutcome]:
    """Return the notes of :func:`pack_notes`."""
    return [
        ItemOutcome(item, outcome, key and ItemKey(*key), *rest) for item, outcome, key, *rest in msgpack.unpackb(data)
    ]


@dataclass(slots=True, eq=False, repr=False)
class ExpectationChange:
    """What a commit changes about an expected item.

    :param sources: the source of the announcement.
    :param is_announced: whether to add the item; if not, the change has an effect only if the item is expected already.
    :param opened: the change of the number of requests that are to bring the item.
    :param cause: why the item is missing, in the words of the report; an empty cause takes an earlier one back.
    :param request: the fingerprint of the request that was to bring the item, to find its dead letter.
    :param payload: that request, if it failed and can be repeated.
    """

    text: str
    sources: tuple[str, ...] = ()
    is_announced: bool = False
    opened: int = 0
    collected: bool = False
    cause: str | None = None
    request: int | None = None
    url: str | None = None
    payload: bytes | None = None


@record_class(slots=True)
class FeedBalance:
    """What a feed lacks of the items that were exported, as its record in the store has it.

    :param lost: items that were written to the feed and are gone.
    :param lost_batches: the same, in batches that were complete; counted anew at each end of a run.
    :param late: items that were exported before the feed was named.
    :param absent_since: how many items were exported when the feed was named last; None while the feed is named.
    :param foreign: bytes of other programs, between or after the items.
    :param altered: items with a value that could not be stored, which is in the feed as text.
    :param untaken: items that no feed has taken, of those that are written at the end of each run.
    """

    lost: int = 0
    lost_batches: int = 0
    late: int = 0
    absent_since: int | None = None
    foreign: int = 0
    altered: int = 0
    untaken: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Items that the feed did not take, by what raised an exception."""

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> FeedBalance:
        """Return the balance in the *record* of a feed. A feed that has none lacks nothing."""
        found = (record or {}).get("balance") or {}
        return cls(**{**found, "refused": dict(found.get("refused", {}))})

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FeedBalance.__slots__}

    def count_refused(self, culprit: str, times: int = 1) -> None:
        """Count an item that the feed did not take."""
        if culprit not in self.refused and len(self.refused) >= CULPRITS:
            culprit = "(others)"
        self.refused[culprit] = self.refused.get(culprit, 0) + times

    def begin(self, exported: int) -> None:
        """Record that the feed is named again, or for the first time, when so many items were exported."""
        if self.absent_since is not None:
            self.late += max(0, exported - self.absent_since)
            self.absent_since = None

    def missing(self, exported: int) -> int:
        """Return how many items the feed lacks when so many were exported."""
        absent = 0 if self.absent_since is None else max(0, exported - self.absent_since)
        return self.lost + self.lost_batches + self.late + absent + sum(self.refused.values())


class RefetchStatus(IntEnum):
    """Whether a missing item is fetched again."""

    REQUESTED = 1
    BY_SPIDER = -1  # The spider makes the request
    IMPOSSIBLE = -2


class RefetchRequest(NamedTuple):
    """A missing item that is to be fetched again.

    :param payload: the request that is to bring the item, for the download *slot*, with its *story*; or None.
    """

    key: int
    status: RefetchStatus
    payload: bytes | None = None
    slot: str = ""
    story: str = ""


class ItemLoss(NamedTuple):
    """Items that a pipeline has dropped (``dropped``) or failed on (``failed``), for the same reason."""

    kind: str
    pipeline: str
    reason: str
    times: int
    key: str | None = None
    url: str | None = None


class Expectation(NamedTuple):
    """An item that a request is to bring.

    :param by_page: any item of the page will do; else the item must have this key.
    :param depth: number of requests between this one and the one that the expectation was announced with.
    :param is_counted: the store counts this request as open for the item.
    :param is_listed: the item is expected for sure; else only if somebody has announced the item.
    """

    text: str
    by_page: bool = True
    depth: int = 0
    is_counted: bool = True
    is_listed: bool = True


def integrity_score(unique_valid: int, expected: int) -> float | None:
    """Return ``unique_valid / expected``, from 0 to 1; None if nothing is expected."""
    return max(0.0, min(1.0, unique_valid / expected)) if expected > 0 else None
