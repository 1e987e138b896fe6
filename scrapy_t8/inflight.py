"""When is a page settled: what the engine shows of each request in flight, told to the job.

A page has settled when the engine is through with its request *and* with every request of it that runs from memory.
"""

from __future__ import annotations

from scrapy import Request

from . import joints
from .job import Job
from .page import leave_page


def watch(job: Job) -> None:
    """From now on, pages of *job* end when the engine lets their requests go."""
    flying, live = job.frontier.flying, job.frontier.live

    def arrived(request: Request, replaced: bool) -> None:
        page = flying.get(request)
        if page is None:
            leave_page()
            return
        page.enter()
        if replaced and request not in live:
            page.replacing = page.dropped = True

    def left(request: Request) -> None:
        leave_page()
        live.discard(request)
        page = flying.pop(request, None)
        if page is not None:
            page.replacing = False
            job.end(page)

    joints.watch(job.crawler, arrived, left)
