"""The items that a job has had: which are duplicates, what has become of each. A key counts once its page settled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

import msgpack

from ..itemmodel import ItemKey, ItemSeen, Loss
from ..model import Batch, JobRecord
from ..page import Page
from ..stores.base import Books
from .coverage import Coverage, shape_of
from .expectations import Expectations
from .keys import ItemKeys, NoKey, differences, shown
from .problems import Problems

logger = logging.getLogger(__name__)

EXPORTED, DUPLICATE, DROPPED, FAILED = range(4)
"""What becomes of an item."""
LOST = {DROPPED: "dropped", FAILED: "failed"}
HELD = 50_000
"""Keys that are kept in memory. A job that has had no more never asks the store."""
REASONS = 100
"""Different reasons of one pipeline that are told apart by one run."""
OTHER = "(other reasons)"
EXAMPLES = 10
POSITION = Struct(">Q")


@dataclass(frozen=True, slots=True)
class Dedup:
    """What is a duplicate.

    :param which: ``keyed``: an item whose key was there before; ``all``: also one without a key whose content was;
        ``off``: none.
    :param policy: ``first``: the first stays; ``last``: the last does; ``changed``: also those that differ from the one
        before.
    :param scope: how long a key is remembered: ``run``, ``job``, or for all jobs of the directory (``spider``).
    """

    which: str = "keyed"
    policy: str = "first"
    scope: str = "job"


@dataclass(slots=True)
class Examples:
    """Some of the duplicates, for the report."""

    kept: list[tuple[str, list[str]]] = field(default_factory=list)
    is_new: bool = False

    def add(self, text: str | None, fields: list[str]) -> None:
        if text is None or (text, fields) in self.kept:
            return
        self.kept = sorted([*self.kept, (text, fields)])[:EXAMPLES]
        self.is_new = (text, fields) in self.kept or self.is_new


class ItemBook:
    """The items of one run.

    :param record: the job, whose books are kept.
    :param run: the number of the run.
    :param hashed: a hash of 63 bits.
    """

    def __init__(
        self,
        books: Books,
        record: JobRecord,
        run: int,
        keys: ItemKeys,
        dedup: Dedup,
        coverage: Coverage,
        problems: Problems,
        expectations: Expectations,
        hashed: Callable[[bytes], int],
    ) -> None:
        self._books = books
        self._record = record
        self._run = run
        self._keys = keys
        self._dedup = dedup
        self._coverage = coverage
        self._problems = problems
        self._expectations = expectations
        self._hash = hashed
        self._held: dict[int, ItemSeen] = books.some_items(HELD)
        self._is_complete = len(self._held) < HELD
        self._new: dict[int, ItemKey] = {}
        self._again: list[int] = []
        self._losses: dict[tuple[str, str, str], Loss] = {}
        self._reasons: dict[tuple[str, str], set[str]] = {}
        self._unkeyed: set[type] = set()
        self._last = ("", 0, "")
        self.examples = Examples()

    # -- while the page is under way -----------------------------------------------------------------------------

    def duplicate_of(self, item: Any) -> str | None:
        """The key under which *item* was exported before, by a page that has settled; None if it was not.

        What is still under way is looked at when its page settles.
        """
        if self._dedup.which == "off" or self._dedup.policy == "last":
            return None
        key = self._key(item)
        seen = self._seen(key.key) if key is not None else None
        if key is None or seen is None or (self._dedup.policy == "changed" and seen.digest != key.digest):
            return None
        return key.text or "the same content"

    def changed_fields(self, item: Any) -> list[str]:
        """In what *item* differs from the one that was exported before under its key, as far as is known by now."""
        key = self._key(item) if self._dedup.policy == "changed" else None
        seen = self._seen(key.key) if key is not None else None
        if key is None or seen is None or seen.digest is None or key.digest is None:
            return []
        return differences(seen.digest, key.digest)

    def note(self, outcome: int, item: Any, loss: tuple[str, str, str] | None, problems: list[list[str]]) -> bytes:
        """What is to be written down of an *item* that has left the pipelines, once its page settles.

        :param loss: pipeline, reason and URL, if a pipeline has lost it.
        :param problems: what is wrong with it.
        """
        key = self._key(item)
        shape = shape_of(item) if outcome == EXPORTED else None
        note: bytes = msgpack.packb((outcome, *(key or (0, None, None)), shape, loss, problems))
        return note

    @staticmethod
    def identity(note: bytes) -> bytes:
        """What the item of a *note* is recognised by, should its page be had again after it was buried.

        What it has exported is a duplicate then.
        """
        outcome, number, _, _, _, loss, _ = msgpack.unpackb(note)
        identity: bytes = msgpack.packb((outcome in LOST, number, loss))
        return identity

    @staticmethod
    def cause(outcome: int, pipeline: str, reason: str) -> str:
        """Why the item is missing that a pipeline has lost, as the books have it."""
        return cause_of(LOST[outcome], pipeline, reason)

    def _key(self, item: Any) -> ItemKey | None:
        text = self._text(item)
        if text is None and self._dedup.which != "all":
            return None
        digest = self._keys.digest(item) if self._dedup.policy == "changed" else None
        if text is None:
            return ItemKey(self._hash(b"content:" + self._keys.content(item)), None, digest)
        if text != self._last[0]:
            # The same item is mostly asked for twice: as it enters the pipelines, and as it leaves them.
            number = self._hash(b"key:" + text.encode("utf-8", "surrogatepass"))
            self._last = text, number, shown(text)
        return ItemKey(self._last[1], self._last[2], digest)

    def _text(self, item: Any) -> str | None:
        try:
            return self._keys.key(item)
        except NoKey as error:
            if type(item) not in self._unkeyed:
                self._unkeyed.add(type(item))
                logger.warning(
                    "An item of the class %s cannot be told from others by a key: %s. It is kept, and so are its "
                    "duplicates. Not said again for this class",
                    type(item).__qualname__,
                    error,
                )
            return None

    # -- when it settles -----------------------------------------------------------------------------------------

    def judge(self, page: Page, notes: list[tuple[int, bytes]]) -> set[int]:
        """Write *notes* of a page that settles into the books. Returns the numbers of items not to be exported."""
        unwanted = set()
        for item, note in notes:
            outcome, number, text, digest, shape, loss, problems = msgpack.unpackb(note)
            if outcome == EXPORTED and number and self._is_duplicate(ItemKey(number, text, digest)):
                unwanted.add(item)
                continue
            if outcome == EXPORTED:
                self._record.ledger.exported += 1
                self._coverage.count(*shape)
            elif outcome == DUPLICATE:
                self._count_duplicate(ItemKey(number, text, digest))
            else:
                pipeline, reason, url = loss
                self._lose(LOST[outcome], pipeline, reason, url, text)
            if problems:
                self._record.ledger.invalid += 1
                self._problems.add(problems, text)
        return unwanted

    def _is_duplicate(self, key: ItemKey) -> bool:
        """Whether an item is not to be exported. If it is, its key is known from now on."""
        seen = self._seen(key.key) if self._dedup.which != "off" else None
        if seen is not None and self._dedup.policy == "first":
            self._count_duplicate(key)
            return True
        if seen is not None and self._dedup.policy == "changed":
            if seen.digest == key.digest:
                self._count_duplicate(key)
                return True
            self._record.ledger.changed += 1
            self.examples.add(key.text, differences(seen.digest or b"\x80", key.digest or b"\x80"))
        if self._dedup.policy == "last":
            ledger = self._record.ledger
            key = key._replace(digest=POSITION.pack(ledger.exported + ledger.duplicate))
            if seen is not None:
                # This one takes its place: it is the older one that is not exported.
                ledger.duplicate += 1
                ledger.exported -= 1
                self.examples.add(key.text, [])
        self._remember(key)
        return False

    def _count_duplicate(self, key: ItemKey) -> None:
        self._record.ledger.duplicate += 1
        self.examples.add(key.text, [])
        seen = self._held.get(key.key) or self._books.item(key.key)
        if seen is not None and seen.job != self._record.number:
            self._again.append(key.key)

    def _lose(self, kind: str, pipeline: str, reason: str, url: str, text: str | None) -> None:
        ledger = self._record.ledger
        if kind == "dropped":
            ledger.dropped += 1
        else:
            ledger.failed += 1
        reasons = self._reasons.setdefault((kind, pipeline), set())
        if len(reasons) < REASONS:
            reasons.add(reason)
        which = (kind, pipeline, reason if reason in reasons else OTHER)
        before = self._losses.get(which, Loss(*which, 0, text, url or None))
        # The first by name is the example, whatever came first.
        example = min((before.key or "", before.url), (text or "", url or None), key=lambda pair: pair[0])
        self._losses[which] = Loss(*which, before.times + 1, example[0] or None, example[1])
        if text is not None:
            self._expectations.missed(text, cause_of(kind, pipeline, reason), url)

    def _seen(self, key: int) -> ItemSeen | None:
        seen = self._held.get(key)
        if seen is None and not self._is_complete:
            seen = self._books.item(key)
        if seen is None or not self._is_in_scope(seen):
            return None
        return seen

    def _is_in_scope(self, seen: ItemSeen) -> bool:
        scope = self._dedup.scope
        return scope == "spider" or (seen.job == self._record.number and (scope == "job" or seen.run == self._run))

    def _remember(self, key: ItemKey) -> None:
        self._new[key.key] = key
        if len(self._held) >= HELD:
            seen = (ItemSeen(self._record.number, self._run, new.digest) for new in self._new.values())
            self._held = dict(zip(self._new, seen, strict=True))
            self._is_complete = False
        self._held[key.key] = ItemSeen(self._record.number, self._run, key.digest)

    def is_superseded(self, position: int, item: Any) -> bool:
        """Whether an item that was exported as the one with this number, from 0, has been replaced by a later one."""
        if self._dedup.policy != "last" or self._dedup.which == "off":
            return False
        key = self._key(item)
        seen = self._seen(key.key) if key is not None else None
        return seen is not None and seen.digest is not None and POSITION.unpack(seen.digest)[0] != position

    # -- commits -------------------------------------------------------------------------------------------------

    def drain(self, batch: Batch) -> None:
        """Put what has changed into *batch*."""
        batch.items, self._new = list(self._new.values()), {}
        batch.again, self._again = self._again, []
        batch.losses, self._losses = list(self._losses.values()), {}


def cause_of(kind: str, pipeline: str, reason: str) -> str:
    """Why an item is missing that a pipeline has dropped or choked on, as the books have it."""
    return f"{kind}\t{pipeline}: {reason}"
