"""A gzip body whose end is missing is a cut body."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from scrapy import Request, Spider
from scrapy.exceptions import ResponseDataLossError
from scrapy.http import Response
from scrapy.utils.test import get_crawler

from scrapy_t8.components.downloadermiddlewares.httpcompression import T8HttpCompressionMiddleware, is_cut

TEXT = b"".join(b"line %d\n" % number for number in range(20_000))
PACKED = gzip.compress(TEXT)
WRONG_CHECKSUM = PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:]
WRONG_LENGTH = PACKED[:-4] + b"\1\2\3\4"


@pytest.mark.parametrize(
    ("packed", "expected"),
    [
        (PACKED, False),
        (gzip.compress(b""), False),
        (PACKED + PACKED, False),
        (PACKED + b"\0" * 100, False),
        (PACKED + b"<!-- served by x -->", False),
        (WRONG_CHECKSUM, False),
        (WRONG_LENGTH, False),
        (PACKED[:-1], True),
        (PACKED[:-8], True),
        (PACKED[: len(PACKED) // 2], True),
        (PACKED[: len(PACKED) // 2] + b"\xff" * 500, True),
        (PACKED + PACKED[:-20], True),
    ],
    ids=[
        "whole",
        "empty",
        "two-members",
        "zeros-behind",
        "text-behind",
        "wrong-checksum",
        "wrong-length",
        "last-byte-lacks",
        "trailer-lacks",
        "half",
        "garbage-in-the-middle",
        "second-member-cut",
    ],
)
def test_bodies(packed: bytes, expected: bool) -> None:
    assert is_cut(packed, len(TEXT)) is expected


def answered(packed: bytes, meta: dict[str, Any] | None = None, method: str = "GET", **settings: Any) -> bytes:
    middleware = T8HttpCompressionMiddleware.from_crawler(get_crawler(Spider, settings))
    request = Request("https://shop.example/", method=method, meta=meta)
    response = Response(request.url, headers={"Content-Encoding": "gzip"}, body=packed)
    answer = middleware.process_response(request, response)
    assert isinstance(answer, Response)
    return answer.body


def test_a_cut_body_is_a_loss_of_data() -> None:
    assert answered(PACKED) == TEXT
    with pytest.raises(ResponseDataLossError, match="the gzip body ends too early"):
        answered(PACKED[:-20])


def test_who_takes_cut_bodies_gets_what_there_is() -> None:
    for taken in (
        answered(PACKED[:-20], DOWNLOAD_FAIL_ON_DATALOSS=False),
        answered(PACKED[:-20], {"download_fail_on_dataloss": False}),
    ):
        assert taken == TEXT[: len(taken)] != b""
    assert answered(b"", method="HEAD") == b""
