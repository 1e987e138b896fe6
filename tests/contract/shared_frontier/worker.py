"""A worker as the contract wants it: a feed, a session, commits; and what a test needs to know of the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import redis

from scrapy_t8.stores.frontier_contract import (
    AddedRequest,
    Answer,
    CommitStatus,
    Lease,
    NewJob,
    Session,
    SharedFrontier,
    WorkerBatch,
)
from scrapy_t8.stores.redis.engine import RedisFrontier

JOB = NewJob("job", "spider", "{}", 1.0)


class Engine:
    """The frontier of a test: doors for several workers, and a look behind them.

    :param door: returns a client of the frontier.
    """

    def __init__(self, door: Callable[[], RedisFrontier], client: redis.Redis, directory: Path) -> None:
        self.door = door
        self.client = client
        self.directory = directory
        self.frontier: SharedFrontier = door()
        self.prefix = door().prefix

    def worker(self, name: str = "one", *, place: str = "", job: NewJob = JOB) -> Worker:
        return Worker(self, name, place or f"/of/{name}", job)

    def let_expire(self, *workers: str) -> None:
        """Let the sessions of *workers* end, as if they had not been renewed in time."""
        for worker in workers:
            self.client.zadd(f"{self.prefix}alive", {worker: 1})

    def let_due(self) -> None:
        """Let all waiting requests be due."""
        waiting: Any = self.client.zrange(f"{self.prefix}waiting", 0, -1)
        for number in waiting:
            self.client.zadd(f"{self.prefix}waiting", {number: 1})

    def ledger(self) -> dict[str, int]:
        found: Any = self.client.hgetall(f"{self.prefix}ledger")
        return {name.decode(): int(value) for name, value in found.items()}

    def check(self) -> None:
        """Check that each request is in exactly one place, and that the books say so."""
        prefix, client = self.prefix, self.client
        entries: Any = client.hkeys(f"{prefix}entry")
        found: Any = list(client.scan_iter(f"{prefix}*", count=1000))
        ready: Any = [member.partition(b"\0")[2][23:] for member in client.zrange(f"{prefix}ready", 0, -1)]  # type: ignore[union-attr]
        leased = [i for key in found if b":t8:lease:" in key for i in client.hkeys(key)]  # type: ignore[union-attr]
        waiting: Any = client.zrange(f"{prefix}waiting", 0, -1)
        assert sorted(entries) == sorted([*ready, *leased, *waiting])
        ledger = self.ledger()
        assert ledger.get("leased", 0) == len(leased)
        slots: Any = [msgpack.unpackb(state) for state in client.hvals(f"{prefix}slots")]
        assert sum(slot[2] for slot in slots) == len(leased)


class Worker:
    """One worker of the job. It joins when it is made."""

    def __init__(self, engine: Engine, name: str, place: str, job: NewJob) -> None:
        self.engine = engine
        self.frontier = engine.door()
        self.name, self.place, self.job = name, place, job
        self.session: Session
        self.number = 0
        self.held: dict[int, Lease] = {}
        self.sent: dict[int, bytes] = {}
        self.join()

    def join(self) -> Session:
        self.session = self.frontier.join(self.name, self.place, self.job)
        self.number, self.held = 0, {}
        self.next_id = self.session.first_id()
        return self.session

    def new(self, slot: str = "host", **options: Any) -> AddedRequest:
        """Return a request with an id of its own."""
        self.next_id += 1
        values = {"priority": 0, "body": b"r%d" % self.next_id, **options}
        return AddedRequest(self.next_id, slot, **values)

    def commit(self, batch: WorkerBatch | None = None, *, want: int = 0, **changes: Any) -> Answer:
        """Commit, and take over what is handed out."""
        batch = batch or WorkerBatch(**changes)
        answer = self.frontier.commit(self.session, self.number + 1, batch, want=want)
        if answer.status in (CommitStatus.OK, CommitStatus.AGAIN):
            self.take(batch, answer)
        return answer

    def take(self, batch: WorkerBatch, answer: Answer) -> None:
        self.number += 1
        for number in [*batch.done, *(retried.id for retried in batch.retried)]:
            self.held.pop(number)
        self.sent = {request.id: request.body for request in batch.added}
        for lease in answer.leases:
            assert lease.id not in self.held
            self.held[lease.id] = lease if lease.body is not None else lease._replace(body=self.sent[lease.id])

    def lease(self, want: int = 1) -> list[Lease]:
        """Lease up to *want* requests, and return them."""
        return [self.held[lease.id] for lease in self.commit(want=want).leases]

    def begin(self, *added: AddedRequest, **changes: Any) -> Answer:
        """Run ``start()``, which yields *added*."""
        assert [lease.id for lease in self.lease()] == [0]
        return self.commit(done=[0], added=list(added), **changes)
