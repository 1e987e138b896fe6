"""Finds the cause of an ignored request: a part of Scrapy, or a class of the project."""

from __future__ import annotations

from collections.abc import Callable
from traceback import walk_tb
from types import FrameType

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.offsite import OffsiteMiddleware
from scrapy.downloadermiddlewares.redirect import BaseRedirectMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.utils.python import global_object_name

from scrapy_t8.config.causes import DUPLICATE, IGNORED, OFFSITE, REDIRECTS, REPLACED, ROBOTS
from scrapy_t8.core.retry.decisions import callback_of
from scrapy_t8.model.entry import Ending
from scrapy_t8.utils.text import one_line

OF_SCRAPY = ((OffsiteMiddleware, OFFSITE), (RobotsTxtMiddleware, ROBOTS), (BaseRedirectMiddleware, REDIRECTS))
HOOKS = ("process_request", "process_response", "process_exception", "download_request")
"""Beginnings of the names of methods whose class is the one that has ignored a request."""


def ending_of_ignored(request: Request, error: IgnoreRequest) -> Ending:
    """Return the ending of a *request* that somebody has ignored by raising *error*."""
    # The traceback ends where the error was raised.
    causes = [_cause_of_frame(frame) for frame, _ in walk_tb(error.__traceback__)]
    cause = next(filter(None, reversed(causes)), f"{IGNORED}:{global_object_name(type(error))}")
    return Ending(cause, first_url(request), callback_of(request), one_line(error))


def ending_of_rejected(request: Request, original: Request | None, fingerprint: Callable[[Request], int]) -> Ending:
    """Return the ending of an *original* request for which *request* came back, which was seen before.

    That is harmless if the original was redirected to another page, which brings the items. If that page has itself
    led here, it is a loop. Without a redirect, a middleware has replaced the request.
    """
    before = request.meta.get("redirect_urls", ())
    cause = DUPLICATE if before and original is not None and before[-1] == original.url else REPLACED
    if cause == DUPLICATE and fingerprint(request) in (fingerprint(request.replace(url=url)) for url in before):
        cause = REDIRECTS
    return Ending(cause, first_url(request if original is None else original), callback_of(request), one_line(request))


def is_offsite(crawler: Crawler, request: Request) -> bool:
    """Whether Scrapy ignores *request* because it leads to another site."""
    offsite = crawler.get_downloader_middleware(OffsiteMiddleware)
    assert crawler.spider is not None
    if offsite is None or request.dont_filter or request.meta.get("allow_offsite"):
        return False
    return not offsite.should_follow(request, crawler.spider)


def first_url(request: Request) -> str:
    """Return the URL that *request* had before it was redirected."""
    return str((request.meta.get("redirect_urls") or [request.url])[0])


def is_of_process_response(error: BaseException) -> bool:
    """Whether a middleware has raised *error* in ``process_response``: then Scrapy calls no ``process_exception``."""
    return any(frame.f_code.co_name == "process_response" for frame, _ in walk_tb(error.__traceback__))


def _cause_of_frame(frame: FrameType) -> str:
    owner, name = frame.f_locals.get("self"), frame.f_code.co_name
    # In Scrapy 2.15 functions of these names are inside of a method of the manager of the middlewares.
    if owner is None or not name.startswith(HOOKS) or not hasattr(type(owner), name):
        return ""
    if str(frame.f_globals.get("__name__")).startswith("scrapy."):
        for cls, cause in OF_SCRAPY:
            if isinstance(owner, cls):
                return cause
    return f"{IGNORED}:{global_object_name(type(owner))}"
