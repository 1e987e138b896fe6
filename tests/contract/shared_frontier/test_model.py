"""Workers at random against a model of the site: nothing lost, nothing twice, whatever happens in which order.

Each page exports one item and yields some links. A worker's feed is a list, and each commit records its length. Workers
die and come again, are fenced, lose answers; the engine loses its last commits, as a server that was killed does.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from scrapy_t8.stores.frontier_contract import Answer, CommitStatus, FinishStatus, RetriedRequest, WorkerBatch
from scrapy_t8.utils.hashes import hash63

from .worker import JOB, Engine, Worker

PAGES = 120
NAMES = ("one", "two", "three")
EXAMPLES = 8


def links(page: int) -> list[int]:
    """Return the pages that a page links to: all pages can be reached from 0, and many in several ways."""
    return [child for child in (2 * page + 1, 2 * page + 2, page // 3, page * 7 % PAGES) if child < PAGES]


def key_of(page: int) -> int:
    return hash63(b"%d" % page)


class Crawler(Worker):
    """A worker that crawls the site."""

    def __init__(self, engine: Engine, name: str, feeds: dict[str, list[int]]) -> None:
        self.feed = feeds[name]
        self.pending: tuple[WorkerBatch, bytes, int] | None = None
        """A commit whose answer was lost."""
        super().__init__(engine, name, f"/of/{name}", JOB)

    def join(self) -> Any:
        session = super().join()
        del self.feed[session.feeds.get("feed", 0) :]
        self.pending = None
        return session

    def settle(self, pages: int, want: int, *, retry: bool = False, loses: bool = False) -> Answer | None:
        """Settle up to so many pages, and lease others. If the worker *loses* the answer, return None."""
        batch = WorkerBatch(limits={f"host {n}": (1 + n, 0.0) for n in range(3)})
        for lease in list(self.held.values())[:pages]:
            if retry and lease.id:
                batch.retried.append(RetriedRequest(lease.id, 3600.0, lease.body or b""))
                continue
            batch.done.append(lease.id)
            self._run(lease.id, lease.body or b"", batch)
        batch.feeds["feed"] = len(self.feed)
        self.pending = (batch, self.frontier.packed(batch), want)
        if loses:
            self.frontier.commit(self.session, self.number + 1, self.pending[1], want=want)
            return None
        return self.send()

    def _run(self, entry: int, body: bytes, batch: WorkerBatch) -> None:
        if not entry:
            batch.added.append(self._request(0))
            return
        page = int(body)
        self.feed.append(page)
        batch.keys.append(key_of(page))
        batch.added += [self._request(child) for child in links(page)]

    def _request(self, page: int) -> Any:
        return self.new(f"host {page % 3}", body=b"%d" % page, fingerprint=key_of(page))

    def send(self) -> Answer:
        """Send the last commit until there is an answer. Join anew if this session has ended."""
        assert self.pending is not None
        batch, packed, want = self.pending
        answer = self.frontier.commit(self.session, self.number + 1, packed, want=want)
        if answer.status in (CommitStatus.FENCED, CommitStatus.BEHIND):
            self.join()
        else:
            assert answer.status in (CommitStatus.OK, CommitStatus.AGAIN)
            self.take(batch, answer)
            self.pending = None
        return answer


class World:
    """The engine and three workers, and what can happen to them."""

    def __init__(self, engine: Engine, chance: random.Random) -> None:
        self.engine = engine
        self.chance = chance
        self.feeds: dict[str, list[int]] = {name: [] for name in NAMES}
        self.workers = {name: Crawler(engine, name, self.feeds) for name in NAMES}
        self.saved: dict[bytes, bytes] | None = None
        self.happened: list[str] = []

    def step(self) -> None:
        name = self.chance.choice(NAMES)
        what = self.chance.choices(
            [
                self.work,
                self.retry,
                self.lose_answer,
                self.expire,
                self.reclaim,
                self.come_again,
                self.leave,
                self.save,
            ],
            [10, 2, 2, 1, 1, 1, 0.5, 1],
        )[0]
        self.happened.append(f"{name} {what.__name__}")
        what(self.workers[name])

    def work(self, worker: Crawler) -> None:
        if worker.pending is not None:
            worker.send()
        else:
            worker.settle(self.chance.randrange(6), self.chance.randrange(8))

    def retry(self, worker: Crawler) -> None:
        if worker.pending is None:
            worker.settle(2, 3, retry=True)
        self.engine.let_due()

    def lose_answer(self, worker: Crawler) -> None:
        if worker.pending is None:
            worker.settle(3, 3, loses=True)

    def expire(self, worker: Crawler) -> None:
        self.engine.let_expire(worker.name)

    def reclaim(self, worker: Crawler) -> None:
        worker.frontier.reclaim()

    def come_again(self, worker: Crawler) -> None:
        worker.join()

    def leave(self, worker: Crawler) -> None:
        if worker.pending is None:
            worker.frontier.leave(worker.session)

    def save(self, worker: Crawler) -> None:
        """Note the state of the engine; or go back to what was noted, as a server that has lost its last second."""
        client: Any = self.engine.client
        if self.saved is None:
            keys = list(client.scan_iter(f"{self.engine.prefix}*", count=1000))
            self.saved = {key: client.dump(key) for key in keys}
            return
        for key in list(client.scan_iter(f"{self.engine.prefix}*", count=1000)):
            client.delete(key)
        for key, value in self.saved.items():
            client.restore(key, 0, value)
        self.saved = None

    def end(self) -> None:
        """Let the workers come to the end of the job."""
        for _ in range(10_000):
            for worker in self.workers.values():
                self.work(worker)
                worker.frontier.reclaim()
                self.engine.let_due()
                if worker.pending is None and not worker.held:
                    found = worker.frontier.finish(worker.session, is_durable=True)
                    if found in (FinishStatus.WON, FinishStatus.FINISHED):
                        return
        raise AssertionError("the job does not end")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        trials = metafunc.config.getoption("--trials")
        metafunc.parametrize("number", range(EXAMPLES if trials <= 14 else trials))


def test_nothing_is_lost_and_nothing_comes_twice(engine: Engine, number: int) -> None:
    world = World(engine, random.Random(number))
    for _ in range(100):
        world.step()
        engine.check()
    world.end()
    engine.check()
    # A worker that does not come again has a feed that is longer than its record: only what is recorded counts.
    records = {name: engine.client.hget(f"{engine.prefix}feed:{name}", "feed") for name in NAMES}
    found = Counter(page for name in NAMES for page in world.feeds[name][: int(records[name] or 0)])
    assert found == Counter(range(PAGES)), world.happened
    ledger = engine.ledger()
    assert ledger["admitted"] == PAGES
    assert ledger["leased"] == 0
    assert engine.client.hlen(f"{engine.prefix}entry") == 0
