"""The records about items that pass between the rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgpack


class ItemKey(NamedTuple):
    """An item that is exported: the hash of its key, the key if it is fit to be shown, digests of its fields."""

    key: int
    text: str | None
    digest: bytes | None = None


class ItemOutcome(NamedTuple):
    """What is to be written down of an item that has left the pipelines.

    :param item: its number on its page.
    :param outcome: what has become of it: one of the four of the item book.
    :param shape: its class and its filled fields, if it is exported.
    :param loss: pipeline, reason and URL, if a pipeline has lost it.
    :param problems: what is wrong with it: rule, class, field and message of each.
    """

    item: int
    outcome: int
    key: ItemKey | None = None
    shape: bytes = b""
    loss: tuple[str, str, str] | None = None
    problems: Sequence[Sequence[str]] = ()


def pack_notes(notes: Sequence[ItemOutcome]) -> bytes:
    """*notes* as bytes, where there are too many to be held."""
    data: bytes = msgpack.packb(notes)
    return data


def unpack_notes(data: bytes) -> list[ItemOutcome]:
    """The notes of :func:`pack_notes`."""
    return [
        ItemOutcome(item, outcome, key and ItemKey(*key), *rest) for item, outcome, key, *rest in msgpack.unpackb(data)
    ]


class LastExport(NamedTuple):
    """When an item was exported last: the number of the job, that of the run in it; and what it was then."""

    job: int
    run: int
    digest: bytes | None = None


@dataclass(slots=True)
class ExpectationChange:
    """What a commit changes about an item that is expected.

    :param sources: who has announced it.
    :param is_announced: it is expected; if not, the change is about an item that may be, or not.
    :param opened: requests that are to bring it, more or less than before.
    :param cause: why it did not come, in the words of the report; empty takes back what was said before.
    :param request: the fingerprint of the request that was to bring it, for its dead letter.
    :param payload: that request, if it has come to nothing and may be tried again.
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


ASKED, BY_THE_SPIDER, IMPOSSIBLE = 1, -1, -2
"""What is said of an item that is to be healed: its request is under way, is for the spider to make, cannot be had."""


class RefetchRequest(NamedTuple):
    """An item that is missing and is to be had after all.

    :param healed: what the books are to say of it.
    :param payload: the request that is to bring it, for the download *slot*, with its *story*; or None.
    """

    key: int
    healed: int
    payload: bytes | None = None
    slot: str = ""
    story: str = ""


class ItemLoss(NamedTuple):
    """Items that a pipeline has dropped (``dropped``) or choked on (``failed``), for one reason."""

    kind: str
    pipeline: str
    reason: str
    times: int
    key: str | None = None
    url: str | None = None
