"""Functions of newer releases of Scrapy, on each release that T8 supports."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from scrapy import Request
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.settings import BaseSettings
from scrapy.utils.conf import build_component_list
from scrapy.utils.misc import load_object

try:
    from scrapy.extensions.feedexport import apply_uri_params as apply_uri_params
except ImportError:  # before Scrapy 2.18

    def apply_uri_params(uri_template: str, uri_params: dict[str, Any]) -> str:
        return uri_template % uri_params


@cache
def _has_log_level() -> bool:
    """Whether ``get_retry_request`` takes the level of its last log line, as since Scrapy 2.17."""
    return "give_up_log_level" in inspect.signature(get_retry_request).parameters


def retry_request(request: Request, **options: Any) -> Request | None:
    """Return what Scrapy's ``get_retry_request`` does. The request names the level of the last log line, if any."""
    if _has_log_level():
        options["give_up_log_level"] = request.meta.get("give_up_log_level")
    return get_retry_request(request, **options)


def components_in_order(settings: BaseSettings, name: str) -> list[Any]:
    """Return the components that a setting lists, with those that Scrapy lists by itself, in their order."""
    # In releases where it has a name of its own, getwithbase() takes a class and its path for two components.
    merged = getattr(settings, "get_component_priority_dict_with_base", settings.getwithbase)
    return [load_object(component) for component in build_component_list(merged(name))]
