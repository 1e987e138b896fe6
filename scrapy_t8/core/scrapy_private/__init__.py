"""The only package that uses private or undocumented names of Scrapy. :mod:`.names` lists them."""

from scrapy_t8.config.parsing import SHUTDOWN

from .command_line import is_inspection_command, running_command, set_exit_status, spider_arguments
from .engine import (
    call_around_close,
    call_before_errback,
    call_before_pipelines_close,
    call_if_pipelines_do_not_close,
    call_on_close_spider,
    close_spider,
    end_on_base_exception,
    end_wait_for_items,
    item_pipelines,
    items_in_pipelines,
    release_in_flight,
    replace_fingerprints,
    schedule_next_call,
    watch,
)
from .names import TABLE, check
from .older_scrapy import apply_uri_params, components_in_order, retry_request
from .queues import pop_last

__all__ = [
    "SHUTDOWN",
    "TABLE",
    "apply_uri_params",
    "call_around_close",
    "call_before_errback",
    "call_before_pipelines_close",
    "call_if_pipelines_do_not_close",
    "call_on_close_spider",
    "check",
    "close_spider",
    "components_in_order",
    "end_on_base_exception",
    "end_wait_for_items",
    "is_inspection_command",
    "item_pipelines",
    "items_in_pipelines",
    "pop_last",
    "release_in_flight",
    "replace_fingerprints",
    "retry_request",
    "running_command",
    "schedule_next_call",
    "set_exit_status",
    "spider_arguments",
    "watch",
]
