"""A small collector to be killed: `python -m scrapy_t8.commands.selfcheck.collector STATE OUT PAGES DELAY [LAST]`.

Its site is made up: a page has five cars, and needs no network. It appends a line to OUT for each page that is done.
After the page LAST it waits to be killed: however late the kill comes, the collector has not ended.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from scrapy_t8.service import T8ResumeAndRetry

LIST, DETAIL = "LIST_COLLECTION", "DETAIL_COLLECTION"
CARS = 5
FOR_EVER = 3600.0  # seconds
BAD = "car-model-013"  # The car that is available only at the third attempt


def collect(t8: T8ResumeAndRetry, out: Path, pages: int, delay: float, last: int) -> None:
    """Collect the pages that are not done."""
    point = t8.get_resume_point(LIST)
    first = point.current_page + 1 if point else 1
    for page in range(first, pages + 1):
        time.sleep(FOR_EVER if page - 1 == last else delay)
        for slug in cars(page):
            if slug == BAD:
                _add_failed(t8, slug, page)
        with out.open("a", encoding="utf-8") as file:
            file.write(f"page {page}: {' '.join(slug for slug in cars(page) if slug != BAD)}\n")
        t8.create_resume_point(LIST, page, page * CARS, last_slug=cars(page)[-1])


def cars(page: int) -> list[str]:
    return [f"car-model-{number:03}" for number in range((page - 1) * CARS + 1, page * CARS + 1)]


def _add_failed(t8: T8ResumeAndRetry, slug: str, page: int) -> None:
    # After a kill the page may come again, and its failed task may be in the queue already.
    if not any(task.target == slug for task in t8.state_manager.failed_tasks(DETAIL)):
        t8.add_failed_task(DETAIL, slug, "the site gave no answer", {"page": page})


def main(state: str, out: str, pages: str, delay: str, last: str = "-1") -> None:
    with T8ResumeAndRetry({"state_dir": state, "enable_auto_retry": False}) as t8:
        collect(t8, Path(out), int(pages), float(delay), int(last))


if __name__ == "__main__":
    main(*sys.argv[1:])
