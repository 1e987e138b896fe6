"""Whether a job is finished when Scrapy says so."""

from __future__ import annotations

import logging

from scrapy_t8.model.records import JobRecord

logger = logging.getLogger(__name__)


def conclude(record: JobRecord, left: int, reason: str, *, is_complete: bool) -> None:
    """Balance the books of a run that ends, and mark the job as finished if it is. What does not fit is an error.

    :param left: requests that are not done.
    :param reason: why Scrapy ends the run.
    :param is_complete: everything is in the feeds.
    """
    difference = record.ledger.difference(left)
    if difference:
        logger.error("The books do not balance: %d requests are unaccounted for. %s", difference, record.ledger)
    if record.ledger.item_difference:
        told = "The books do not balance: %d items are unaccounted for. %s"
        logger.error(told, record.ledger.item_difference, record.ledger)
    is_through = record.start_done and not left and is_complete and not difference
    record.finished = is_through and reason == "finished"
    if reason == "finished" and not is_through:
        logger.error(
            "Scrapy says finished, but the job is not: %d requests left, start() %s. Run the same command again",
            left,
            "read to its end" if record.start_done else "not read to its end",
        )
