"""A worker of the torture: it crawls a site that is a formula, and writes what it finds to a feed.

Arguments: the address of the engine, the spider, the worker's name, its directory, the number of pages, the seconds
after which a session ends.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from scrapy_t8.errors import NoAnswer, StoreError
from scrapy_t8.stores.frontier_contract import (
    AddedRequest,
    Answer,
    CommitStatus,
    FinishStatus,
    Lease,
    NewJob,
    RetriedRequest,
    Session,
    WorkerBatch,
)
from scrapy_t8.stores.redis.connection import connect
from scrapy_t8.stores.redis.engine import RedisFrontier
from scrapy_t8.utils.hashes import hash63

HAND = 24
PAUSE = 0.002
"""Seconds that a page takes."""
PATIENCE = 0.02


def links(page: int, pages: int) -> list[int]:
    """Return the pages that a page links to: all can be reached from 0, and many in several ways."""
    found = (2 * page + 1, 2 * page + 2, page // 3, (page * 7 + 1) % pages, (page * 31 + 5) % pages)
    return [child for child in found if child < pages]


class FeedIsShort(Exception):
    """The feed has less than the engine says."""


class Worker:
    """One process of the crawl. Its feed is a file of one page number a line."""

    def __init__(self, url: str, spider: str, name: str, directory: Path, pages: int, ttl: float) -> None:
        self.frontier = RedisFrontier(connect(url, {"socket_timeout": 1.0}), spider, where=url, ttl=ttl)
        self.job = NewJob("job", spider, "{}", 1.0)
        self.name, self.directory, self.pages = name, directory, pages
        self.chance = random.Random(f"{name} {os.getpid()}")
        self.feed = (directory / "feed").open("ab", buffering=0)
        self.session: Session
        self.number = 0
        self.held: list[Lease] = []

    def until_answered(self, call: object, *arguments: object, **options: object) -> object:
        while True:
            try:
                return call(*arguments, **options)  # type: ignore[operator]
            except NoAnswer:
                time.sleep(PATIENCE)

    def join(self) -> None:
        self.session = self.until_answered(self.frontier.join, self.name, str(self.directory), self.job)  # type: ignore[assignment]
        self.number, self.held = 0, []
        self.next_id = self.session.first_id()
        recorded = self.session.feeds.get("feed", 0)
        if os.fstat(self.feed.fileno()).st_size < recorded:
            raise FeedIsShort(self.name)
        os.ftruncate(self.feed.fileno(), recorded)
        self.size = recorded

    def run(self) -> None:
        self.join()
        while True:
            answer = self.turn()
            if answer is not None and not self.held and self._is_over(answer):
                return

    def turn(self) -> Answer | None:
        batch, lines = WorkerBatch(), b""
        batch.limits = {f"host {n}": (HAND, 0.0) for n in range(5)} if self.number == 0 else {}
        count = self.chance.randrange(1, 12)
        for lease in self.held[:count]:
            lines += self._page(lease, batch)
        self.held = self.held[count:]
        batch.started = [lease.id for lease in self.held[:8]]
        os.write(self.feed.fileno(), lines)
        self.size += len(lines)
        batch.feeds["feed"] = self.size
        packed = self.frontier.packed(batch)
        answer: Answer = self.until_answered(  # type: ignore[assignment]
            self.frontier.commit, self.session, self.number + 1, packed, want=max(0, HAND - len(self.held))
        )
        if answer.status in (CommitStatus.FENCED, CommitStatus.BEHIND):
            self.join()
            return None
        assert answer.status in (CommitStatus.OK, CommitStatus.AGAIN), answer
        self.number += 1
        bodies = {request.id: request.body for request in batch.added}
        self.held += [le if le.body is not None else le._replace(body=bodies[le.id]) for le in answer.leases]
        return answer

    def _page(self, lease: Lease, batch: WorkerBatch) -> bytes:
        if not lease.id:
            batch.done.append(lease.id)
            batch.added.append(self._request(0))
            return b""
        time.sleep(PAUSE)
        if self.chance.random() < 0.05:
            batch.retried.append(RetriedRequest(lease.id, 0.02, lease.body or b""))
            return b""
        batch.done.append(lease.id)
        page = int(lease.body or b"")
        batch.keys.append(hash63(b"%d" % page))
        batch.added += [self._request(child) for child in links(page, self.pages)]
        batch.ledger = {"done": len(batch.done)}
        return b"%d\n" % page

    def _request(self, page: int) -> AddedRequest:
        self.next_id += 1
        fingerprint = hash63(b"%d" % page)
        return AddedRequest(self.next_id, f"host {page % 5}", page % 3, b"%d" % page, fingerprint)

    def _is_over(self, answer: Answer) -> bool:
        """Wait for more work, or finish the job."""
        self.until_answered(self.frontier.reclaim)
        if not answer.counts.is_idle:
            time.sleep(PATIENCE)
            return False
        found = self.until_answered(self.frontier.finish, self.session, is_durable=False)
        if found is FinishStatus.ENDING:
            self.until_answered(self.frontier.wait_durable)
            found = self.until_answered(self.frontier.finish, self.session, is_durable=True)
        if found is FinishStatus.FENCED:
            self.join()
        return found in (FinishStatus.WON, FinishStatus.FINISHED)


def main() -> int:
    url, spider, name, directory, pages, ttl = sys.argv[1:]
    try:
        Worker(url, spider, name, Path(directory), int(pages), float(ttl)).run()
    except FeedIsShort:
        return 3
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 4
    except Exception as error:
        if "is finished" in str(error):
            return 0
        raise
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
