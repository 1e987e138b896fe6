"""Secrets are masked in any text of a report."""

from __future__ import annotations

import pytest

from scrapy_t8.config.settings import MASK
from scrapy_t8.report.mask import Mask

SECRET = "geh3im"


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@example.com/x",
        f"https://{SECRET}@example.com/x",
        f"failed: http://a:p@{SECRET}@host/ (timeout)",
        f"https://example.com/?page=1&api_key={SECRET}&x=2",
        f"https://example.com/?X-Amz-Signature={SECRET}",
        f"https://example.com/?access_token={SECRET}#top",
        f"https://example.com/?next=https%3A%2F%2Fx%2F%3Ftoken%3D{SECRET}%26a%3D1",
        f"Authorization: Basic {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"Cookie: a={SECRET}; b={SECRET}",
        f"set-cookie: sid={SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"PASSWORD={SECRET}",
        f"login(user='x', passwd='{SECRET}')",
    ],
)
def test_secrets_are_hidden_in_any_text(text: str) -> None:
    assert SECRET not in Mask(MASK).text(text)
    assert SECRET not in str(Mask(MASK).all({"a": [{"b": text}, text]}))


@pytest.mark.parametrize(
    "text", ["https://example.com/?page=1&tag=a", "the token is wrong", "a@b.com", "12:30: no secret here", "x=1"]
)
def test_what_is_none_stays(text: str) -> None:
    assert Mask(MASK).text(text) == text


def test_arguments_by_their_name() -> None:
    masked = Mask(["key"]).all({"arguments": {"api_key": SECRET, "depth": 3, "keys": 4}, "site": "x"})
    assert masked == {"arguments": {"api_key": "***", "depth": 3, "keys": 4}, "site": "x"}


def test_a_mask_of_nothing_still_knows_credentials() -> None:
    assert Mask([]).text(f"http://u:{SECRET}@h/?token=x") == "http://***@h/?token=x"
