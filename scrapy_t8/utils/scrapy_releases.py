"""What newer releases of Scrapy have, for all releases that T8 supports."""

from __future__ import annotations

import inspect
from typing import Any

from scrapy import Request
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.extensions import feedexport
from scrapy.utils.asyncio import call_later
from scrapy.utils.defer import maybe_deferred_to_future
from twisted.internet.defer import Deferred

_OF_RETRIES = frozenset(inspect.signature(get_retry_request).parameters)


async def sleep(seconds: float) -> None:
    """Wait for so many seconds, with and without a reactor (``scrapy.utils.asyncio.sleep``, Scrapy 2.18)."""
    ended: Deferred[None] = Deferred()
    call_later(seconds, ended.callback, None)
    await maybe_deferred_to_future(ended)


def uri_of_feed(template: str, parameters: dict[str, Any]) -> str:
    """Return the URI of a feed (``apply_uri_params``, Scrapy 2.18, which leaves ``%20`` as it is)."""
    apply = getattr(feedexport, "apply_uri_params", None)
    return str(apply(template, parameters) if apply is not None else template % parameters)


def retry_request(request: Request, *, give_up_log_level: Any, **options: Any) -> Request | None:
    """Return what ``get_retry_request`` does, which takes *give_up_log_level* since Scrapy 2.17."""
    if "give_up_log_level" in _OF_RETRIES:
        options["give_up_log_level"] = give_up_log_level
    return get_retry_request(request, **options)
