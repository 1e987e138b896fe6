"""Puts the requests of missing items back into the frontier."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from scrapy import Request

from scrapy_t8.core.frontier.endings import accepted_by
from scrapy_t8.core.items.expectations import DEAD, DISCARDED, expecting
from scrapy_t8.errors import CannotLoad
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import LetterFilter
from scrapy_t8.model.items import RefetchRequest, RefetchStatus
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.owned import open_for_changes
from scrapy_t8.stores.reader.reader import MissingItem, Reader, open_read_only
from scrapy_t8.utils.classes import record_class


@record_class(frozen=True, slots=True)
class Healing:
    """The result of :func:`heal`, in numbers of items.

    :param revived: items whose dead letter is tried again.
    :param repeated: items whose request is made again.
    :param asked: items known by their key alone: the spider makes the request in the next run (``t8_request_for``).
    :param under_way: items whose request is still in the frontier.
    """

    revived: int = 0
    repeated: int = 0
    asked: int = 0
    under_way: int = 0

    @property
    def total(self) -> int:
        """The number of items that the next run will try to collect."""
        return self.revived + self.repeated + self.asked


def heal(jobdir: str | Path) -> Healing:
    """Make the next run of the job in *jobdir* fetch the missing items, and nothing else.

    Dead letters of missing items are revived; a request that brought no item is repeated; a key that is a
    URL is requested; for any other key the next run calls the spider's ``t8_request_for(key)``, if there is one. All of
    this is one transaction. A job that had finished is open again.

    :raises JobLocked: if a crawl is using the job.
    :raises JobError: if there is no job.
    :raises StoreError: if its state cannot be read or written.
    """
    directory = Path(jobdir) / "t8"
    with open_for_changes(directory) as (store, job):
        with open_read_only(directory) as reader:
            plan = _plan(reader, job)
        store.box.refetch(plan.refetched, LetterFilter(ids=tuple(plan.letters)), job, time.time())
    return plan.healing


def would_heal(jobdir: str | Path) -> Healing:
    """Return the result that :func:`heal` would have now, without any change. A crawl may be using the job.

    :raises JobError: if there is no job.
    :raises StoreError: if its state cannot be read.
    """
    with open_read_only(Path(jobdir) / "t8") as reader:
        return _plan(reader, reader.job()).healing


class _Plan(NamedTuple):
    letters: list[int]
    refetched: list[RefetchRequest]
    healing: Healing


def _plan(reader: Reader, job: JobRecord) -> _Plan:
    """Return the letters to be revived, and the items to be fetched again."""
    letters: list[int] = []
    refetched: list[RefetchRequest] = []
    under_way, accepted = 0, accepted_by(reader)
    for missing in reader.missing(job.number):
        kind, _, detail = (missing.cause or "").partition("\t")
        if kind == DISCARDED and accepted.names(detail):
            continue
        letter = reader.letter(missing.request) if kind == DEAD and missing.request is not None else None
        if letter is not None:
            letters.append(letter[0])
            refetched.append(RefetchRequest(missing.key, RefetchStatus.REQUESTED))
        elif missing.open > 0:
            under_way += 1
        else:
            refetched.append(_refetched(missing, reader.payload(missing.key)))
    repeated = sum(item.payload is not None for item in refetched)
    asked = sum(item.status == RefetchStatus.BY_SPIDER for item in refetched)
    return _Plan(letters, refetched, Healing(len(letters), repeated, asked, under_way))


def _refetched(missing: MissingItem, payload: bytes | None) -> RefetchRequest:
    codec = Codec()
    try:
        if payload is None:
            if urlsplit(missing.text).scheme not in ("http", "https"):
                return RefetchRequest(missing.key, RefetchStatus.BY_SPIDER)
            request = Request(missing.text)
            expecting(request, missing.text, "", by_page=True)
            payload = codec.encode_request(request)
        again = codec.repeated(payload)
    except (CannotLoad, ValueError):
        return RefetchRequest(missing.key, RefetchStatus.IMPOSSIBLE)
    url = codec.envelope(again)[0]
    history = AttemptHistory(target=missing.text)
    return RefetchRequest(missing.key, RefetchStatus.REQUESTED, again, urlsplit(url).hostname or "", history.dumps())
