"""Components of a project, each with a bug."""

from __future__ import annotations

from typing import Any

from scrapy import Request
from scrapy.dupefilters import RFPDupeFilter
from scrapy.utils.request import RequestFingerprinter


def uri_params(params: Any, spider: Any) -> Any:
    raise LookupError("no parameters today")


class Filter(RFPDupeFilter):
    def request_seen(self, request: Request) -> bool:
        raise LookupError("nothing is seen today")


class Fingerprinter(RequestFingerprinter):
    def fingerprint(self, request: Request) -> bytes:
        raise LookupError("no fingerprint today")
