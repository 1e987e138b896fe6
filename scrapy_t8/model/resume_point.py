"""Resume points and collection states, in the formats that other programs read and write."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scrapy_t8.utils.times import moment

from .failed_task import FailedTask
from .json_document import OF, JsonRecord

LIST = "LIST_COLLECTION"
DETAIL = "DETAIL_COLLECTION"
IMAGE = "IMAGE_DOWNLOAD"

RUNNING, FINISHED, STOPPED, DIED = STATUSES = "RUNNING", "FINISHED", "STOPPED", "DIED"
"""What a collection state can say about its run."""

RUNS = "collection:"
"""The names under which a service keeps its runs: this, followed by a task type."""


@dataclass(slots=True)
class ResumePoint(JsonRecord):
    """The durable position of a piece of work: everything up to it is done.

    :param current_page: the last page that is done; 0 before the first.
    :param last_cursor: what leads to the next page, where pages have cursors.
    :param last_slug: the last slug that is done, where work is divided by slugs.
    :param total_processed: what was done so far, also beyond this position.
    :param last_update: with a time zone.
    :param metadata: any JSON object.
    """

    task_type: str
    current_page: int = 0
    last_cursor: str | None = None
    last_slug: str | None = None
    total_processed: int = 0
    last_update: datetime = field(default_factory=lambda: moment(time.time()))
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class CollectionState(JsonRecord):
    """The progress of one task type of a job.

    :param status: RUNNING, FINISHED, STOPPED or DIED.
    :param total_items: how many items there are; 0 if it is not known.
    """

    run_id: str
    task_type: str
    status: str
    start_time: datetime
    last_update: datetime
    total_items: int = 0
    processed_items: int = 0
    failed_items: int = 0
    resume_points: list[ResumePoint] = field(default_factory=list, metadata={OF: ResumePoint})
    failed_tasks: list[FailedTask] = field(default_factory=list, metadata={OF: FailedTask})
