"""The items of a job: the duplicates, and the outcome of each item. A key counts when its page has settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

from scrapy_t8.core.page import Page
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.items import ExportPlace, ItemKey, ItemLoss, ItemOutcome, LastExport
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import Store
from scrapy_t8.utils.hashes import hash63
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import escape_surrogates

from .coverage import Coverage, shape_of
from .expectations import Expectations
from .keys import ItemKeys, NoKey, differences, key_bytes, shown
from .problems import ProblemCounter

logger = get_logger(__name__)

EXPORTED, DUPLICATE, DROPPED, FAILED = range(4)
"""The outcomes of an item."""
LOST = {DROPPED: "dropped", FAILED: "failed"}
HELD = 50_000
"""Maximum number of keys in memory. A job with fewer keys does not read the store."""
LATELY = 100
"""Keys whose hash is kept in memory: those of items that are in the pipelines."""
REASONS = 100
"""Different reasons of one pipeline that one run counts separately."""
OTHER = "(other reasons)"
DUPLICATES = "duplicates"
"""Name under which the store keeps examples of duplicates."""
EXAMPLES = 10
NO_KEY = ItemKey(0, None)
NOTHING = b"\x80"
"""The digest of an item without fields."""


class Dedup(NamedTuple):
    """The rule for duplicates.

    :param which: ``keyed``: an item whose key was there before; ``all``: also one without a key whose content was;
        ``off``: none.
    :param policy: ``first``: the first stays; ``last``: the last does; ``changed``: also those that differ from the one
        before.
    :param scope: how long a key is remembered: ``run``, ``job``, or for all jobs of the directory (``spider``).
    """

    which: str = "keyed"
    policy: str = "first"
    scope: str = "job"


class ItemLedger:
    """The items of one run: the duplicates, and the outcome of each item.

    :param record: the job, whose ledger counts the items.
    :param run: the number of the run.
    """

    def __init__(
        self, store: Store, record: JobRecord, run: int, *, keys: ItemKeys, dedup: Dedup, expectations: Expectations
    ) -> None:
        self._books = books = store.items
        self._record = record
        self._run = run
        self._keys = keys
        self._dedup = dedup
        self.compares = dedup.policy == "changed"
        """Whether the earlier content of an item matters: then everything that has ended must be settled first."""
        self.drops_by_key = dedup.which != "off"
        """Whether duplicates of items with a key are dropped."""
        self._drops = dedup.which != "off" and dedup.policy != "last"
        self._coverage = Coverage(store)
        self._problems = ProblemCounter(store)
        self._expectations = expectations
        self._held: dict[int, LastExport] = books.some_items(HELD)
        self._is_complete = len(self._held) < HELD
        self._new: dict[int, ItemKey] = {}
        self._again: set[int] = set()
        self._superseded: list[int] = []
        self._losses: dict[tuple[str, str, str], ItemLoss] = {}
        self._reasons: dict[tuple[str, str], set[str]] = {}
        self._unkeyed: set[type] = set()
        self._lately: dict[str, ItemKey] = {}
        self._now = LastExport(record.number, run)
        self._examples = duplicates_of(store.kept(DUPLICATES))
        self._has_new_example = False

    # -- before the page settles ---------------------------------------------------------------------------------

    def duplicate_of(self, item: Any, page: Page | None) -> str | None:
        """Return the key under which a settled page has exported *item* before; None if there is none.

        Items of pages that have not settled are compared when their page settles.
        """
        key = self._key(item) if self._drops else None
        if key is None or (self._is_complete and key.key not in self._held):
            return None
        seen = self._seen(key.key)
        if seen is None or (self.compares and self._before(key, seen, page) != key.digest):
            return None
        return key.text or "the same content"

    def takes_again(self, item: Any) -> bool:
        """Whether *item* has a key under which a later version of the item is exported as well."""
        return self._dedup.policy != "first" and self.is_told_by_key(item)

    def is_told_by_key(self, item: Any) -> bool:
        """Whether *item* has a key by which duplicates are dropped."""
        try:
            return self.drops_by_key and self._keys.key(item) is not None
        except NoKey:
            return False

    def changed_fields(self, item: Any, page: Page | None) -> list[str]:
        """Return the fields in which *item* differs from the last item with its key, maybe one of the same *page*."""
        key = self._key(item) if self.compares else None
        before = self._before(key, self._seen(key.key), page) if key is not None else None
        return [] if key is None or before is None else differences(before, key.digest or NOTHING)

    def _before(self, key: ItemKey, seen: LastExport | None, page: Page | None) -> bytes | None:
        if page is not None and key.key in page.items.digests:
            return page.items.digests[key.key]
        return None if seen is None else seen.digest

    def outcome_of(
        self, outcome: int, item: Any, page: Page, loss: tuple[str, str, str] | None, problems: list[list[str]]
    ) -> ItemOutcome:
        """Return the outcome of an *item* of *page* that has left the pipelines, to be counted when the page settles.

        :param loss: pipeline, reason and URL, if a pipeline has lost it.
        :param problems: what is wrong with it.
        """
        key = self._key(item)
        shape = shape_of(item) if outcome == EXPORTED else b""
        if key is not None and key.digest is not None and outcome == EXPORTED:
            page.own_items().digest(key.key, key.digest)
        cleaned = [[escape_surrogates(part) for part in problem] for problem in problems] if problems else ()
        return ItemOutcome(page.items.current, outcome, key, shape, loss, cleaned)

    @staticmethod
    def identity(note: ItemOutcome) -> bytes:
        """Return the identity of the item of a *note*, by which a revived page recognises the item.

        What it has exported is a duplicate then.
        """
        key = note.key or NO_KEY
        identity: bytes = msgpack.packb((note.outcome in LOST, key.key, note.loss))
        return identity

    def _key(self, item: Any) -> ItemKey | None:
        try:
            text = self._keys.key(item)
        except NoKey as error:
            text = None
            self._warn(item, error)
        if text is not None:
            # The key of an item is mostly needed twice: as the item enters the pipelines, and as it leaves them.
            key = self._lately.get(text) or self._named(text)
        elif self._dedup.which == "all":
            key = ItemKey(hash63(b"content:" + self._keys.content(item)), None)
        else:
            return None
        return key._replace(digest=self._keys.digest(item)) if self.compares else key

    def _named(self, text: str) -> ItemKey:
        if len(self._lately) >= LATELY:
            self._lately.clear()
        key = self._lately[text] = ItemKey(hash63(key_bytes(text)), shown(text))
        return key

    def _warn(self, item: Any, error: NoKey) -> None:
        if type(item) not in self._unkeyed:
            self._unkeyed.add(type(item))
            logger.warning(
                "An item of the class %s has no key: %s. The item is kept, and so are its "
                "duplicates. Further warnings for this class are suppressed",
                type(item).__qualname__,
                error,
            )

    # -- when the page settles -----------------------------------------------------------------------------------

    def settle(self, notes: Sequence[ItemOutcome]) -> set[int]:
        """Count the outcomes of a page that settles. Return the numbers of the items that must not be exported."""
        unwanted = set()
        for note in notes:
            key = note.key or NO_KEY
            if note.outcome == EXPORTED:
                if note.key is not None and self._is_duplicate(note.key, note):
                    unwanted.add(note.item)
                    continue
                self._record.ledger.exported += 1
                self._coverage.count(note.shape)
            elif note.outcome == DUPLICATE:
                self._count_duplicate(key)
            elif note.loss is not None:
                self._lose(note.outcome, *note.loss, key.text)
            if note.problems:
                self._record.ledger.invalid += note.outcome == EXPORTED
                self._problems.add(note.problems, key.text)
        return unwanted

    def _is_duplicate(self, key: ItemKey, note: ItemOutcome) -> bool:
        """Whether an item is a duplicate, which is not exported. Remember the key of any other item."""
        seen = self._seen(key.key) if self._dedup.which != "off" else None
        if self._dedup.policy == "last":
            self._replace(key, seen, note)
            return False
        if seen is not None and (self._dedup.policy == "first" or seen.digest == key.digest):
            self._count_duplicate(key)
            return True
        if seen is not None:
            self._record.ledger.changed += 1
            self._add_example(key.text, differences(seen.digest or NOTHING, key.digest or NOTHING))
        self._remember(key)
        return False

    def _replace(self, key: ItemKey, seen: LastExport | None, note: ItemOutcome) -> None:
        """Let *key* replace the item before it, if that item is in the feeds of this job."""
        ledger = self._record.ledger
        position = ledger.exported + ledger.duplicate
        if seen is not None and seen.place is not None and seen.job == self._record.number:
            self._superseded.append(seen.place.position)
            self._coverage.count(seen.place.shape, -1)
            ledger.duplicate += 1
            ledger.exported -= 1
            ledger.invalid -= seen.place.is_invalid
            self._add_example(key.text, [])
        self._remember(key._replace(place=ExportPlace(position, note.shape, bool(note.problems))))

    def _count_duplicate(self, key: ItemKey) -> None:
        ledger = self._record.ledger
        ledger.duplicate += 1
        self._add_example(key.text, [])
        seen = self._held.get(key.key) or self._books.item(key.key)
        if seen is not None and seen.job != self._record.number and key.key not in self._again:
            ledger.again += 1
            self._again.add(key.key)
            self._held[key.key] = seen._replace(job=self._record.number)

    def _add_example(self, text: str | None, fields: list[str]) -> None:
        """Keep a duplicate as an example for the report, if it is one of the first by name."""
        if text is not None and (text, fields) not in self._examples:
            self._examples = sorted([*self._examples, (text, fields)])[:EXAMPLES]
            self._has_new_example = self._has_new_example or (text, fields) in self._examples

    def _lose(self, outcome: int, pipeline: str, reason: str, url: str, text: str | None) -> None:
        self._record.ledger.dropped += outcome == DROPPED
        self._record.ledger.failed += outcome == FAILED
        kind = LOST[outcome]
        reasons = self._reasons.setdefault((kind, pipeline), set())
        if len(reasons) < REASONS:
            reasons.add(reason)
        which = (kind, pipeline, reason if reason in reasons else OTHER)
        before = self._losses.get(which, ItemLoss(*which, 0, text, url or None))
        # The example is the first by name, in any order of the items.
        example = min((before.key or "", before.url), (text or "", url or None), key=lambda pair: pair[0])
        self._losses[which] = ItemLoss(*which, before.times + 1, example[0] or None, example[1])
        if text is not None:
            self._expectations.missed(text, cause_of(outcome, pipeline, reason), url)

    def has(self, key: int) -> bool:
        """Whether this job has exported an item with this key, as far as is known without reading the store."""
        seen = self._held.get(key)
        return seen is not None and seen.job == self._record.number

    def _seen(self, key: int) -> LastExport | None:
        seen = self._held.get(key)
        if seen is None and not self._is_complete:
            seen = self._books.item(key)
        scope = self._dedup.scope
        if seen is None or scope == "spider":
            return seen
        return seen if seen.job == self._record.number and (scope == "job" or seen.run == self._run) else None

    def _remember(self, key: ItemKey) -> None:
        self._new[key.key] = key
        if len(self._held) >= HELD:
            self._held = {new.key: self._as_seen(new) for new in self._new.values()}
            self._is_complete = False
        self._held[key.key] = self._as_seen(key)

    def _as_seen(self, key: ItemKey) -> LastExport:
        # One object for all keys, if that is enough.
        if key.digest is None and key.place is None:
            return self._now
        return self._now._replace(digest=key.digest, place=key.place)

    # -- commits -------------------------------------------------------------------------------------------------

    def drain(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*."""
        batch.items, self._new = list(self._new.values()), {}
        batch.touched, self._again = sorted(self._again), set()
        batch.superseded, self._superseded = self._superseded, []
        batch.losses, self._losses = list(self._losses.values()), {}
        batch.kept.update(self._coverage.dump() | self._problems.dump())
        if self._has_new_example:
            self._has_new_example = False
            batch.kept[DUPLICATES] = msgpack.packb(self._examples)


def cause_of(outcome: int, pipeline: str, reason: str) -> str:
    """Return why an item is missing that a pipeline has dropped or failed on, in stored form."""
    return f"{LOST[outcome]}\t{pipeline}: {reason}"


def duplicates_of(kept: Mapping[str, bytes]) -> list[tuple[str, list[str]]]:
    """Return examples of duplicates: the key of each, and the fields that had changed."""
    return [(text, fields) for text, fields in msgpack.unpackb(kept[DUPLICATES])] if DUPLICATES in kept else []
