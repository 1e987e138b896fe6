"""The failures of a page, by kind: each kind has its own number of retries."""

from __future__ import annotations

import math
import re
import struct
import sys
import traceback
import zlib
from collections.abc import Mapping
from dataclasses import field
from datetime import timezone
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from scrapy.http import Response
from scrapy.utils.response import response_status_message
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost

from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import one_line

logger = get_logger(__name__)

NETWORK = "network"
"""No answer: DNS, connection, timeout, a body cut short."""
HOST = "host"
"""The server's own fault (5xx)."""
THROTTLED = "throttled"
"""The server demands fewer requests: 429, 420, or 503 or any 4xx with Retry-After."""
BAN = "ban"
"""A response that is not the page, as the spider or a response check says: a captcha, a login page."""
PARSE = "parse"
"""The callback raised an exception."""
PIPELINE = "pipeline"
"""An item pipeline raised an exception."""
OUTAGE = "outage"
"""What an item pipeline writes to cannot be reached."""
MEDIA = "media"
"""A file of an item could not be downloaded."""
HTTP = "http"
"""Any other status that the spider does not handle."""
DOWNLOAD = "download"
"""An exception before the response that is no network error: of a middleware, or of a download handler."""
INVALID = "invalid"
"""An item is invalid."""
HANDLER = "handler"
"""A task of the service whose handler has failed."""
HANDLED = "handler"
"""The reason of a failure that a retry handler has reported."""
KINDS = (NETWORK, HOST, THROTTLED, BAN, PARSE, PIPELINE, OUTAGE, MEDIA, HTTP, DOWNLOAD, INVALID, HANDLER)

NETWORK_ERRORS = (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    OSError,
)

BROKEN_BODY = (zlib.error, EOFError, struct.error)
"""Errors of a body that cannot be unpacked, besides those of the libraries for other encodings."""
UNPACKING = ("brotli", "zstd")

INSIDE_A_CALLBACK = (*NETWORK_ERRORS[:-1], ConnectionError, TimeoutError)
"""Network errors of downloads that a callback makes itself. Any other OSError is a bug of the callback."""

OF_THE_HOST = (NETWORK, HOST)
"""The kinds that count as failures of a host."""

WAITED_FOR = (*OF_THE_HOST, OUTAGE)
"""The kinds that are not charged while what has failed is down."""

OF_THE_CODE = (PARSE, PIPELINE, DOWNLOAD, INVALID, "callback", "class")
"""The kinds that a change of the spider's code may fix."""


AFTER_THE_DOWNLOAD = (PARSE, PIPELINE, OUTAGE, INVALID)
"""The kinds for which no errback is called. An errback itself can fail with them."""


class RetryPage(Exception):
    """Raised in a callback, an errback, an item pipeline or a response check: retry this page.

    The outputs of the page so far are dropped: its items reach no feed, its requests are not repeated.

    :param reason: for the log and the dead letter.
    :param delay: seconds to wait; None leaves it to the policy.
    :param kind: the kind of failure whose retries are counted; one of :data:`KINDS`.
    :raises ConfigError: for an unknown kind, or a negative delay.
    """

    def __init__(self, reason: str, delay: float | None = None, kind: str = BAN) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay
        self.kind = known_kind(kind, "RetryPage")
        if delay is not None and not 0 <= delay < math.inf:
            raise ConfigError(f"RetryPage: the delay is {delay!r}, but must be seconds of at least 0")


@record_class(frozen=True, slots=True)
class Failure:
    """One failed attempt.

    :param error: one line.
    :param reason: name of the failure in Scrapy's retry statistics.
    :param delay: seconds to wait, as the spider demands.
    :param retry_after: seconds to wait, as the server demands.
    :param final: give up, whatever the policy is.
    :param keeps_items: items that the page has yielded so far stay, if this was the last attempt.
    :param errback_failed: the errback that was given this failure has raised an exception.
    :param detail: data for finding the cause: a traceback, a part of the body.
    """

    kind: str
    error: str
    status: int | None = None
    delay: float | None = None
    retry_after: float | None = None
    final: bool = False
    reason: str | Exception = "unspecified"
    keeps_items: bool = True
    errback_failed: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)


def known_kind(kind: str, where: str) -> str:
    """Return *kind*.

    :raises ConfigError: if there is no such kind. The message names *where* the kind was found.
    """
    if kind not in KINDS:
        raise ConfigError(f"{where}: there is no kind of failure {kind!r}; the kinds are {', '.join(KINDS)}")
    return kind


def kind_of_status(status: int, *, has_retry_after: bool) -> str:
    """Return the kind of failure of an HTTP status."""
    if status in (420, 429) or (has_retry_after and (status < 500 or status == 503)):
        return THROTTLED
    if status == 408:
        return NETWORK
    return HOST if status >= 500 else HTTP


def retry_after(value: bytes | str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header demands (RFC 9110, 10.2.3: a number or a date); None if invalid."""
    text = (value.decode("latin-1") if isinstance(value, bytes) else value or "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return float(min(int(text[:20]), 10**12))
    try:
        when = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, when.timestamp() - now)


def sample(body: bytes, limit: int) -> str:
    """Return the beginning of *body* as text."""
    return body[:limit].decode("utf-8", errors="backslashreplace")


def unpacked(error: BaseException) -> BaseException:
    """Return *error*, raised before there was a response; or the error of a cut body, if a body cannot be unpacked."""
    if isinstance(error, BROKEN_BODY) or any(name in type(error).__module__ for name in UNPACKING):
        return ResponseDataLossError(f"the body cannot be unpacked: {type(error).__name__}: {error}")
    return error


def of_download(error: BaseException, *, final: bool = False) -> Failure:
    """Return the failure of a request that *error* has ended before there was a response."""
    kind = NETWORK if isinstance(error, NETWORK_ERRORS) else DOWNLOAD
    detail = {} if kind == NETWORK else {"traceback": trace(error)}
    reason = error if isinstance(error, Exception) else "unspecified"
    return Failure(kind, one_line(f"{type(error).__name__}: {error}"), final=final, reason=reason, detail=detail)


def of_response(response: Response, now: float, *, body_sample: int, final: bool = False) -> Failure:
    """Return the failure of a response with an error status."""
    header = response.headers.get("Retry-After")
    asked = retry_after(header, now)
    if header is not None and asked is None:
        logger.warning("%s: invalid Retry-After header: %r", response, header)
    reason = response_status_message(response.status)
    return Failure(
        kind_of_status(response.status, has_retry_after=asked is not None),
        reason,
        status=response.status,
        retry_after=asked,
        final=final,
        reason=reason,
        detail={"body": sample(response.body, body_sample)},
    )


def of_code(kind: str, error: BaseException, response: object, *, body_sample: int) -> Failure:
    """Return the failure of a page that *error* in the user's code has ended, or the retry that the error demands."""
    detail: dict[str, Any] = {}
    status = None
    if isinstance(response, Response):
        status, detail["body"] = response.status, sample(response.body, body_sample)
    if isinstance(error, RetryPage):
        return Failure(error.kind, one_line(error), status, error.delay, reason=error, keeps_items=False, detail=detail)
    message = one_line(f"{type(error).__name__}: {error}")
    reason = error if isinstance(error, Exception) else "unspecified"
    if isinstance(error, INSIDE_A_CALLBACK) and kind != OUTAGE:
        kind = NETWORK
    return Failure(kind, message, status, reason=reason, detail={"traceback": trace(error), **detail})


def trace(error: BaseException) -> str:
    """Return the traceback of *error*."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def code_of(spider: Spider) -> str:
    """Return a hash of the source files of the spider's project: all imported modules of its classes' packages."""
    packages = {cls.__module__.partition(".")[0] for cls in type(spider).__mro__} - {"builtins", "scrapy", "scrapy_t8"}
    digest = blake2b(digest_size=8)
    for name in sorted(name for name in sys.modules if name.partition(".")[0] in packages):
        file = getattr(sys.modules[name], "__file__", None)
        if file and file.endswith(".py"):
            digest.update(name.encode())
            try:
                digest.update(Path(file).read_bytes())
            except OSError:
                continue
    return digest.hexdigest()


def lineage(request: Request) -> dict[str, Any]:
    """Return how the crawl reached *request*."""
    meta = request.meta
    known = {
        "referer": (request.headers.get("Referer") or b"").decode("latin-1"),
        "depth": meta.get("depth"),
        "redirects": [str(url) for url in meta.get("redirect_urls", ())],
    }
    return {name: value for name, value in known.items() if value}
