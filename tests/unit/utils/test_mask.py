"""Secrets are masked in any text of a report."""

from __future__ import annotations

import pytest

from scrapy_t8.utils.log.mask import NAMES, Mask

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
        f"https://example.com/#access_token={SECRET}&x=1",
        f"https://example.com/;PHPSESSID={SECRET}?x=1",
        f"https://example.com/?next=https%3A%2F%2Fann%3A{SECRET}%40x%2F",
        f"https://example.com/?next=https%253A%252F%252Fx%253Ftoken%253D{SECRET}%2526a%253D1",
        f"https://example.com/?next=https%3A%2F%2Fx%2F%3Ftoken%3D{SECRET}%26secret%3D{SECRET}%26a%3D1",
        f"https://example.com/?key=AIza{SECRET}0123456789",
        f"https://example.com/?sv=1&sig={SECRET}0123456789%2B%3D",
        f"<a href='token/A1{SECRET}0123456789'>",
        f"https://example.com/api/token/A1{SECRET}0123456789/x",
        f"a proxy http://ann:{SECRET}@proxy.example:8080 refuses",
        f"b'user=ann&password={SECRET}'",
        f"ValueError: invalid hostname: ann:{SECRET}@127.0.0.1",
        f"X-Auth: Bearer {SECRET}.0123456789",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.abc",
        f"-a http_pass={SECRET}",
    ],
)
def test_secrets_are_hidden_in_any_text(text: str) -> None:
    assert SECRET not in Mask(NAMES).text(text)
    assert SECRET not in str(Mask(NAMES).all({"a": [{"b": text}, text]}))


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/?page=1&tag=a",
        "https://example.com/?key=cars&sid=17",
        "https://example.com/session/how-we-built-3-shops-in-10-days",
        "https://example.com/token/17",
        "the token is wrong",
        "An item of the class Car has no key: id",
        "a bearer of bad news",
        "a@b.com",
        "mailto:a@b.com",
        "seen at 12:30 by a@b.com: ok",
        "12:30: no secret here",
        "x=1",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert Mask(NAMES).text(text) == text


def test_arguments_by_their_name() -> None:
    masked = Mask(["key"]).all({"arguments": {"api_key": SECRET, "depth": 3, "keys": 4}, "site": "x"})
    assert masked == {"arguments": {"api_key": "***", "depth": 3, "keys": 4}, "site": "x"}


def test_a_mask_of_nothing_still_knows_credentials() -> None:
    assert Mask([]).text(f"http://u:{SECRET}@h/?token=x") == "http://***@h/?token=x"


def test_an_identifier_in_a_path_is_hidden_after_a_name_of_a_secret() -> None:
    url = "https://example.com/api_key/3f2504e0-4f89-11d3-9a0c-0305e82c3301/x"
    assert Mask(NAMES).text(url) == "https://example.com/api_key/***/x"
    assert Mask(NAMES).text(url.replace("api_key", "cars")) == url.replace("api_key", "cars")


@pytest.mark.parametrize("part", ["%D0%BE", "aB3-", "token", "a+", "secret/"])
def test_a_long_word_takes_time_in_proportion_to_its_length(part: str) -> None:
    """If the time grew with the square of the length, this test would take hours."""
    assert SECRET not in Mask(NAMES).text(f"https://example.com/{part * 20_000}?session={SECRET}&mail=a@b.com")
