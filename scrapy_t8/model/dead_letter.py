"""A dead letter: an entry that was given up, with its failure."""

from __future__ import annotations

from typing import NamedTuple

from scrapy_t8.utils.classes import record_class


class DeadLetter(NamedTuple):
    """An entry that was given up, and the reason.

    :param entry: the id that it had in the frontier of its ``job``.
    :param payload: the stored request; empty if the request ran from memory, and so cannot be revived.
    :param buried_at: in Unix seconds.
    :param code: a hash of the spider's code at that time.
    :param story: its attempts, as :meth:`AttemptHistory.dumps` returns them.
    :param detail: JSON with traceback, referer, depth, redirects and a sample of the body, as far as they are known.
    :param id: the number of the letter in the box; the store assigns it.
    """

    entry: int
    payload: bytes
    kind: str
    error: str
    buried_at: float
    url: str = ""
    host: str = ""
    callback: str = ""
    status: int | None = None
    fingerprint: int | None = None
    job: str = ""
    spider: str = ""
    code: str = ""
    task_type: str = ""
    target: str = ""
    story: str | None = None
    detail: str | None = None
    id: int = 0


class LetterFilter(NamedTuple):
    """Selects the dead letters that meet every given condition.

    :param host: the host of the URL.
    :param error: a part of the error, in any case.
    :param text: a part of the error, the URL or the target, in any case.
    :param older_than: buried at least so many seconds ago; *newer_than*: at most.
    :param ids: the numbers of letters.
    """

    kind: str | None = None
    host: str | None = None
    callback: str | None = None
    error: str | None = None
    older_than: float | None = None
    newer_than: float | None = None
    job: str | None = None
    ids: tuple[int, ...] | None = None
    status: int | None = None
    task_type: str | None = None
    text: str | None = None


ALL = LetterFilter()


@record_class(slots=True)
class LetterGroup:
    """Dead letters with the same cause. *example* is the number of one of them."""

    kind: str
    error: str
    host: str
    callback: str
    count: int
    first: float
    last: float
    example: int
