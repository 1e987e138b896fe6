"""The contract between the workers of one job and the engine of their shared frontier.

Many workers take requests from one frontier, and each writes feeds of its own. One call, ``commit``, changes the
frontier: it settles requests, admits others, records how long the worker's feeds are, and hands out new requests. So
whatever happens to a worker, its feeds can be cut back to what the frontier says of them.

A request is *leased* to the session of one worker. A session that is not renewed in time ends, and any worker may then
give its requests back. A worker whose session has ended is *fenced*: none of its commits changes anything. It cuts its
feeds back, and joins anew.

Times that cross this contract are durations, in seconds: only the clock of the engine counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from scrapy_t8.model.entry import START

__all__ = [
    "START",
    "AddedRequest",
    "Answer",
    "CommitStatus",
    "Conflict",
    "Counts",
    "FinishStatus",
    "HostChange",
    "Lease",
    "NewJob",
    "RetriedRequest",
    "Seeds",
    "Session",
    "SharedFrontier",
    "WorkerBatch",
]

SEQ_BITS = 31
"""The bits of an id that count the requests of one session. The others are the number of the session."""


class NewJob(NamedTuple):
    """The job to begin if there is none.

    :param arguments: JSON of the spider's arguments.
    :param is_fifo: whether requests of the same priority go first in, first out.
    :param limit: concurrent requests of a download slot, over all workers, where nothing else is said.
    :param delay: seconds between two requests of a slot, over all workers, where nothing else is said.
    """

    id: str
    spider: str
    arguments: str
    begun: float
    is_fifo: bool = False
    limit: int = 8
    delay: float = 0.0


class Session(NamedTuple):
    """A worker's turn at the job.

    :param name: proves the session in each call.
    :param job: the fields of the job, as the engine stores them.
    :param feeds: the record of each feed of the worker, by URI.
    :param returned: how many requests the worker's last session had leased, which were given back.
    :param warnings: what the engine does not promise, each as one line for a person.
    """

    worker: str
    epoch: int
    name: str
    job: Mapping[str, str]
    feeds: Mapping[str, Any]
    kept: Mapping[str, bytes] = {}
    returned: int = 0
    warnings: Sequence[str] = ()

    def first_id(self) -> int:
        """Return the first id for requests that the session admits. The ids after it are free, too."""
        return self.epoch << SEQ_BITS


class AddedRequest(NamedTuple):
    """A request to admit.

    :param id: unique for all time: see :meth:`Session.first_id`.
    :param slot: the download slot.
    :param body: what the worker that leases the request needs; the engine does not read it.
    :param fingerprint: 63 bits; None for a request that passes no duplicate filter.
    :param is_start: whether ``start()`` has yielded the request: it comes after others of its priority.
    :param is_marked: whether something depends on the request (a resume point, an expected item), so that the worker
        must know before the commit if it was seen before.
    :param replaces: the entry whose place the request takes, which is among those that are done; None for a new one.
    :param parent: the unsettled entry whose page yields the request, if a replay must remember the request, as *key*.
    """

    id: int
    slot: str
    priority: int
    body: bytes
    fingerprint: int | None = None
    is_start: bool = False
    is_marked: bool = False
    replaces: int | None = None
    parent: int | None = None
    key: bytes = b""


class RetriedRequest(NamedTuple):
    """A leased request that waits *delay* seconds for another attempt, with a new *body*."""

    id: int
    delay: float
    body: bytes


class HostChange(NamedTuple):
    """The new state of a host, None for one that is up. For *pause* seconds none of its requests is handed out."""

    record: bytes | None
    pause: float = 0.0


class Seeds(NamedTuple):
    """Seeds to be taken out of a key that others fill. Each becomes a request of one of the *ids*.

    :param kind: the type of the key: ``list``, ``set`` or ``zset``.
    """

    key: str
    kind: str
    ids: Sequence[int]


@dataclass(slots=True, eq=False, repr=False)
class WorkerBatch:
    """Everything that one commit of a worker changes: all of it, or nothing."""

    added: list[AddedRequest] = field(default_factory=list)
    added_waiting: list[tuple[AddedRequest, float]] = field(default_factory=list)
    """Requests that wait from the beginning, and for how many seconds."""
    done: list[int] = field(default_factory=list)
    """Leased requests that have ended for good."""
    started: list[int] = field(default_factory=list)
    """Leased requests that were sent: if the worker dies, a crash is charged to them."""
    retried: list[RetriedRequest] = field(default_factory=list)
    spawned: list[tuple[int, bytes, int]] = field(default_factory=list)
    """(parent, key, child) of outputs of unsettled pages that are no requests."""
    keys: list[int] = field(default_factory=list)
    """Keys of exported items, 63 bits each. A key that another worker has exported makes a conflict."""
    feeds: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, int] = field(default_factory=dict)
    """Changes of the accounts. The engine itself counts the requests that it admits."""
    hosts: dict[str, HostChange] = field(default_factory=dict)
    limits: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Of download slots with limits of their own: the concurrent requests, and the seconds between two requests."""
    kept: dict[str, bytes] = field(default_factory=dict)
    seeds: Seeds | None = None
    cold: bytes = b""
    """What only reports need: appended to the log of the job."""


class CommitStatus(Enum):
    """What has become of a commit.

    OK, or AGAIN for one that was applied before and whose answer was lost. CONFLICT changes nothing: the worker leaves
    out what conflicts, and commits under the same number. After FENCED (the session has ended) and BEHIND (the engine
    has lost commits) the worker cuts its feeds back and joins anew.
    """

    OK = "ok"
    AGAIN = "again"
    CONFLICT = "conflict"
    FENCED = "fenced"
    BEHIND = "behind"


class Lease(NamedTuple):
    """A request handed out to a worker.

    :param body: None if the worker has sent the body with the very same commit; empty for ``start()``.
    :param crashes: how many workers have died during the request.
    :param start_in: seconds until the request may be sent.
    :param spawned: what earlier attempts have yielded: child by key.
    """

    id: int
    body: bytes | None
    crashes: int = 0
    start_in: float = 0.0
    spawned: Mapping[bytes, int] = {}


class Counts(NamedTuple):
    """How many requests of the job are ready, leased and waiting; whether ``start()`` is through; live workers."""

    ready: int = 0
    leased: int = 0
    waiting: int = 0
    start_done: bool = False
    workers: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do."""
        return self.start_done and not (self.ready or self.leased or self.waiting)


class Conflict(NamedTuple):
    """What must not be committed: keys of items that were exported, and marked requests that were seen."""

    keys: Sequence[int] = ()
    requests: Sequence[int] = ()


class Answer(NamedTuple):
    """The answer to a commit.

    :param dropped: the added requests that were seen before, by id.
    :param hosts: the states of all hosts that are not up, by slot; None if the worker knows them.
    :param hosts_version: to be named in the next commit.
    """

    status: CommitStatus
    dropped: Sequence[int] = ()
    leases: Sequence[Lease] = ()
    counts: Counts = Counts()
    hosts: Mapping[str, bytes] | None = None
    hosts_version: str = "0"
    conflict: Conflict = Conflict()


class FinishStatus(Enum):
    """What has become of an attempt to finish the job.

    OPEN: there is work left. ENDING: the job is marked; ask again when that is durable. WON: this worker has finished
    the job. FINISHED: another one has. FENCED: the session has ended.
    """

    OPEN = "open"
    ENDING = "ending"
    WON = "won"
    FINISHED = "finished"
    FENCED = "fenced"


class SharedFrontier(Protocol):
    """The engine. Every method may be called from any thread, by one thread at a time.

    Every method raises :exc:`~scrapy_t8.errors.NoAnswer` if it is not known whether the call has had an effect, and
    :exc:`~scrapy_t8.errors.StoreError` if the engine refuses it.
    """

    def join(self, worker: str, place: str, job: NewJob | None = None) -> Session:
        """Begin a session, and with *job* the job if there is none. The worker's last session ends.

        :param place: proves that an earlier process of the worker is dead: the worker holds a lock there.
        :raises JobLocked: if the worker has a live session from another place.
        :raises JobError: if there is no job, or it is finished.
        """

    def commit(
        self, session: Session, number: int, batch: WorkerBatch | bytes, *, want: int, hosts_version: str = "0"
    ) -> Answer:
        """Change the frontier, and lease up to *want* requests.

        :param number: 1 for the first commit of a session, and one more after each that was OK or AGAIN.
        :param batch: what :meth:`packed` has returned, too: a commit without an answer is sent again, byte for byte.
        """

    def packed(self, batch: WorkerBatch) -> bytes:
        """Return *batch* as it is sent."""

    def beat(self, session: Session) -> bool:
        """Renew the session. Return whether it lives."""

    def leave(self, session: Session) -> bool:
        """End the session; its requests go back, and no crash is charged. Return whether it lived."""

    def reclaim(self) -> Mapping[str, int]:
        """End the sessions that were not renewed in time. Return how many requests of which workers went back."""

    def finish(self, session: Session, *, is_durable: bool) -> FinishStatus:
        """Finish the job, if nothing is left to do. Ask twice: *is_durable* after :meth:`wait_durable`."""

    def wait_durable(self) -> None:
        """Wait until all that was answered is durable, so that a crash of the engine does not undo it."""

    def log(self, first: int, count: int) -> Sequence[bytes]:
        """Return up to *count* of the ``cold`` parts of commits, in the order of the commits."""
