"""A page: one request from the frontier, together with everything that it brings about.

Which page an output belongs to is told by the context (:mod:`contextvars`) that it is produced in: Scrapy runs each
callback in a task of its own, and tasks inherit their context, through generators, item pipelines and signals alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from scrapy import Request

from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.items import ItemOutcome, pack_notes, unpack_notes
from scrapy_t8.utils.hashes import hash63

from .staging import SPILL, Staged

ITEMS = "items"
"""Under this name it is known what was written down of items, beside the names of sinks."""
NOTES = 1000
"""So many notes of one page are held as they are."""

NO_DIGESTS: Mapping[int, bytes] = MappingProxyType({})

_current: ContextVar[Page | None] = ContextVar("t8_page", default=None)


class Expectation(NamedTuple):
    """An item that a request is to bring.

    :param by_page: any item of the page will do; else it has to be the one with this key.
    :param depth: how many requests it has come down from the one that it was said of.
    :param is_counted: the books know that this request is under way.
    :param is_listed: it is expected for sure; else only if somebody has announced it.
    """

    text: str
    by_page: bool = True
    depth: int = 0
    is_counted: bool = True
    is_listed: bool = True


class Page:
    """What is known of a page until it is settled.

    Most of it is empty for most pages, and then no container is made: each that lives on until the commit brings the
    next run of the garbage collector nearer, which costs more than all else that is done here.

    :param entry: the id of its stored request; None for work that no stored request stands for.
    :param attempt: a number that grows with every lease of the job, so that older attempts can be told.
    :param parent: a page that is not to settle before this one.
    """

    __slots__ = (
        "_left",
        "_more_notes",
        "attempt",
        "callback",
        "delivered",
        "digests",
        "dropped",
        "entered",
        "entry",
        "expected",
        "expects",
        "host",
        "item",
        "items",
        "kept",
        "late_seen",
        "lost",
        "marks",
        "memory",
        "notes",
        "parent",
        "pending",
        "remembered",
        "replaced",
        "replacing",
        "request",
        "respawns",
        "settled",
        "staged",
        "story",
        "tasks",
        "verdict",
        "woken",
    )

    def __init__(self, entry: int | None, attempt: int = 0, parent: Page | None = None) -> None:
        self.entry = entry
        self.attempt = attempt
        self.parent = parent
        self.pending = 1
        """What it still waits for: its own end, its requests that run from memory, its child pages."""
        self.settled = False
        """It goes into the next commit: nothing of it need be remembered any more."""
        self.replacing = False
        """True while the downloader hands over a request that takes this one's place."""
        self.replaced = False
        self.dropped = False
        self.respawns = False
        """An earlier attempt has already spawned some of its children."""
        self.remembered = False
        """The store remembers what this page has spawned."""
        self.late_seen: Sequence[int] = ()
        """Fingerprints of its requests that run from memory: durable only with the page itself."""
        self.memory: int | None = None
        """The fingerprint by which its unsettled parent is to remember it: that of an item of ``start()``."""
        self.staged: dict[str, Staged] = {}
        self.notes: Sequence[ItemOutcome] = ()
        """What is to be written down of its items: the last of it, if there is much."""
        self._more_notes: Staged | None = None
        """Then, what came before."""
        self.story: AttemptHistory | None = None
        """What became of its request in earlier attempts, if they failed."""
        self.verdict: ScheduledRetry | DeadLetter | None = None
        """What becomes of its entry after it has failed."""
        self._left: Counter[int] | None = None
        """What earlier attempts have delivered, and this one has not brought yet."""
        self.delivered: tuple[int, ...] = ()
        """Fingerprints of what has reached the feeds although the page has failed."""
        self.expected: Sequence[tuple[str, str, int | None]] = ()
        """What it announces: source, key, total."""
        self.entered = 0
        """Items that have entered the pipelines."""
        self.items = self.item = 0
        """Items that have left them; the number of the one whose records are being staged, if any."""
        self.digests = NO_DIGESTS
        """Of those that have a key, as they were last, where that matters."""
        self.kept = 0
        """Those of them that no pipeline has dropped or choked on."""
        self.lost = ""
        """What has become of one that a pipeline has."""
        self.expects: tuple[Expectation, ...] = ()
        """Items that its request was to bring."""
        self.request: Request | None = None
        """Its request, once it has ended, if it was to bring something and may not have."""
        self.host = self.callback = ""
        """Whose it is, once that is known."""
        self.tasks: tuple[ScheduledRetry, ...] = ()
        """Entries that it brings about, and that wait from the beginning."""
        self.marks: tuple[Any, ...] = ()
        """Positions of resume points that are passed when it settles."""
        self.woken = False
        """Its entry was waiting, and takes its place in a queue again."""
        if parent is not None:
            parent.pending += 1

    def stage(self, sink: str, data: bytes, directory: Path) -> None:
        """Keep one record for *sink* until the page settles, unless an earlier attempt has delivered it."""
        if self.was_delivered(sink, data):
            return
        if sink not in self.staged:
            self.staged[sink] = Staged(directory)
        self.staged[sink].add(data, self.item)

    def note(self, note: ItemOutcome, directory: Path) -> None:
        """Keep what is to be written down of an item until the page settles."""
        if not isinstance(self.notes, list):
            self.notes = []
        self.notes.append(note)
        if len(self.notes) >= NOTES:
            self._more_notes = self._more_notes or Staged(directory)
            self._more_notes.add(pack_notes(self.notes))
            self.notes = ()

    def noted(self) -> Iterator[Sequence[ItemOutcome]]:
        """All that is to be written down of its items, in order."""
        if self._more_notes is not None:
            for batch in self._more_notes.batches(SPILL):
                yield from (unpack_notes(packed) for _, packed in batch)
        if self.notes:
            yield self.notes

    def was_delivered(self, sink: str, identity: bytes) -> bool:
        """Whether an earlier attempt has delivered what is recognised by *identity*. Each time counts once."""
        if self.story is None or not self.story.delivered:
            return False
        if self._left is None:
            self._left = Counter(self.story.delivered)
        fingerprint = record_fingerprint(sink, identity)
        was_delivered = self._left[fingerprint] > 0
        self._left[fingerprint] -= was_delivered
        return was_delivered

    def announce(self, announced: Sequence[tuple[str, str, int | None]]) -> None:
        """It says of items that they are there."""
        if not isinstance(self.expected, list):
            self.expected = []
        self.expected.extend(announced)

    def see_late(self, fingerprint: int) -> None:
        """One of its requests runs from memory."""
        if not isinstance(self.late_seen, list):
            self.late_seen = []
        self.late_seen.append(fingerprint)

    def digest(self, key: int, digest: bytes) -> None:
        """What its item with this key is like."""
        if not isinstance(self.digests, dict):
            self.digests = {}
        self.digests[key] = digest

    @property
    def may_lack(self) -> bool:
        """Whether an item that its request was to bring may not have come."""
        return not self.kept or not all(expectation.by_page for expectation in self.expects)

    def take_back(self) -> None:
        """Nothing of what it has yielded so far counts: it is going to be tried again, or given up."""
        self.staged.clear()
        self.notes, self._more_notes = (), None
        self.entered = self.kept = 0
        self.digests = NO_DIGESTS
        self.lost = ""

    def enter(self) -> None:
        """From here on, and in every task begun from here, outputs belong to this page."""
        _current.set(self)


def record_fingerprint(sink: str, record: bytes) -> int:
    """What tells one record of a sink from another, in 63 bits."""
    return hash63(sink.encode() + b"\0" + record)


def current_page() -> Page | None:
    """The page whose output is being produced here, if it has not ended yet."""
    page = _current.get()
    return None if page is None or not page.pending else page


def leave_page() -> None:
    """From here on, outputs belong to no page."""
    _current.set(None)
