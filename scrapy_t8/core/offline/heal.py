"""Puts what is missing back into the frontier, and nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scrapy import Request

from scrapy_t8.core.items.expectations import DEAD, expecting
from scrapy_t8.errors import CannotLoad
from scrapy_t8.model.attempts import AttemptHistory
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import LetterFilter
from scrapy_t8.model.items import RefetchRequest, RefetchStatus
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.owned import open_for_changes
from scrapy_t8.stores.reader.reader import MissingItem, Reader, open_read_only
from scrapy_t8.stores.sqlite.store import SQLiteStore


@dataclass(frozen=True, slots=True)
class Healing:
    """What :func:`heal` has done, in numbers of items.

    :param revived: whose dead letter is tried again.
    :param repeated: whose request is made again.
    :param asked: known by their key alone: the next run asks the spider (``t8_request_for``).
    :param under_way: whose request is still to be done anyway.
    """

    revived: int = 0
    repeated: int = 0
    asked: int = 0
    under_way: int = 0

    @property
    def total(self) -> int:
        """How many the next run will try to bring."""
        return self.revived + self.repeated + self.asked


def heal(jobdir: str | Path) -> Healing:
    """Let the next run of the job in *jobdir* fetch what is missing, and only that.

    Dead letters of missing items are revived; a request that has brought nothing is made again, as it was; a key that
    is a URL is asked for; for any other, the next run calls the spider's ``t8_request_for(key)``, if there is one. All
    of it is one transaction. A job that had finished is open again.

    :raises JobLocked: if a crawl is using the job.
    :raises JobError: if there is none.
    :raises StoreError: if its state cannot be read or written.
    """
    directory = Path(jobdir) / "t8"
    with open_for_changes(directory) as (store, job):
        return _heal(store, job, directory)


def would_heal(jobdir: str | Path) -> Healing:
    """What :func:`heal` would do now. Nothing is changed; a crawl may be using the job.

    :raises JobError: if there is none.
    :raises StoreError: if its state cannot be read.
    """
    with open_read_only(Path(jobdir) / "t8") as reader:
        return _plan(reader, reader.job()).told()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be put back: these letters revived, these items asked for."""

    letters: list[int]
    mended: list[RefetchRequest]
    under_way: int

    def told(self) -> Healing:
        repeated = sum(item.payload is not None for item in self.mended)
        asked = sum(item.status == RefetchStatus.BY_SPIDER for item in self.mended)
        return Healing(len(self.letters), repeated, asked, self.under_way)


def _heal(store: SQLiteStore, job: JobRecord, directory: Path) -> Healing:
    with open_read_only(directory) as reader:
        plan = _plan(reader, job)
    store.box.refetch(plan.mended, LetterFilter(ids=tuple(plan.letters)), job, time.time())
    return plan.told()


def _plan(reader: Reader, job: JobRecord) -> _Plan:
    letters: list[int] = []
    mended: list[RefetchRequest] = []
    under_way = 0
    for missed in reader.missing(job.number):
        kind = (missed.cause or "").partition("\t")[0]
        letter = reader.letter(missed.request) if kind == DEAD and missed.request is not None else None
        if letter is not None:
            letters.append(letter[0])
            mended.append(RefetchRequest(missed.key, RefetchStatus.REQUESTED))
        elif missed.open > 0:
            under_way += 1
        else:
            mended.append(_again(missed, reader.payload(missed.key)))
    return _Plan(letters, mended, under_way)


def _again(missed: MissingItem, payload: bytes | None) -> RefetchRequest:
    codec = Codec()
    try:
        if payload is None:
            if urlsplit(missed.text).scheme not in ("http", "https"):
                return RefetchRequest(missed.key, RefetchStatus.BY_SPIDER)
            request = Request(missed.text)
            expecting(request, missed.text, "", by_page=True)
            payload = codec.encode_request(request)
        again = codec.repeated(payload)
    except (CannotLoad, ValueError):
        return RefetchRequest(missed.key, RefetchStatus.IMPOSSIBLE)
    url = codec.envelope(again)[0]
    story = AttemptHistory(target=missed.text)
    return RefetchRequest(missed.key, RefetchStatus.REQUESTED, again, urlsplit(url).hostname or "", story.dumps())
