"""The failed attempts of a request, and its next one."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import field
from hashlib import blake2b
from typing import NamedTuple

from scrapy_t8.utils.classes import record_class

LIST = "LIST_COLLECTION"
DETAIL = "DETAIL_COLLECTION"  # Also the task type of a request that has none of its own
IMAGE = "IMAGE_DOWNLOAD"
DUE = "t8_due"
"""Key in the meta of a retry, between the retry middleware and the scheduler: when the retry is due."""
GIVEN_BACK = "given back"
"""Before the name of a kind: key of the failures that were given back, less those whose free attempts were used."""
HISTORY = 20  # Attempts of one request whose errors are kept


@record_class(slots=True)
class AttemptHistory:
    """The earlier attempts of a request."""

    attempts: list[tuple[float, str, str]] = field(default_factory=list)
    """The latest failures: (Unix seconds, kind, error)."""
    counts: dict[str, int] = field(default_factory=dict)
    """Failures charged to the request, by kind, and less than zero for those of a kind that were given back."""
    delivered: list[int] = field(default_factory=list)
    """Fingerprints of the records that are in the feeds although the page has failed."""
    task_type: str = ""
    target: str = ""
    max_retries: int = 0
    task_id: str = ""
    """The id under which all attempts of a request are shown, given by its first failure."""
    reports: int = 0
    """How often a task of the service that waits already was reported as failed once more."""

    def add(self, when: float, kind: str, error: str, *, charged: bool, uses_free: bool = False) -> None:
        """Add a failed attempt, which counts against the retries of its *kind* if it is *charged*.

        :param uses_free: whether one of the free attempts follows.
        """
        self.attempts = [*self.attempts, (when, kind, error)][-HISTORY:]
        if charged:
            self._count(kind, 1)
        if uses_free:
            self._count(f"{GIVEN_BACK} {kind}", 1)

    def refund(self, times: int, kinds: Collection[str]) -> None:
        """Give back the latest failures of *kinds* that were charged: as many attempts of each kind are free."""
        latest = [kind for _, kind, _ in reversed(self.attempts) if kind in kinds][:times]
        for kind in set(latest):
            if given_back := min(latest.count(kind), self.counts.get(kind, 0) - self.free(kind)):
                self._count(f"{GIVEN_BACK} {kind}", -given_back)

    def _count(self, kind: str, times: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + times

    def free(self, kind: str) -> int:
        """Return how many failures of *kind* are not charged, in place of those that an outage has brought about."""
        return -self.counts.get(f"{GIVEN_BACK} {kind}", 0)

    @property
    def retries(self) -> int:
        """Failures charged so far, of all kinds, without those that were given back."""
        return sum(self.counts.values())

    def dumps(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def loads(cls, text: str | None) -> AttemptHistory:
        """Return the history of :meth:`dumps`; an empty one for None."""
        story = cls(**json.loads(text)) if text else cls()
        story.attempts = [(when, kind, error) for when, kind, error in story.attempts]
        return story


class ScheduledRetry(NamedTuple):
    """An entry that failed and is due again at a later time. It keeps the id that it had in its queue.

    :param due: in Unix seconds.
    :param slot: the download slot of a request, or the task type of a task of the service.
    :param story: its attempts, as :meth:`AttemptHistory.dumps` returns them.
    """

    id: int
    due: float
    slot: str
    payload: bytes
    story: str


def request_task_id(task_type: str, job: str, entry: int) -> str:
    """Return the task id of the request that is stored as *entry* of *job*."""
    return f"{task_type}_{blake2b(f'{job}/{entry}'.encode(), digest_size=4).hexdigest()}"
