"""No record of this package's loggers shows a secret."""

from __future__ import annotations

import logging

import pytest

from scrapy_t8.utils.log.loggers import SecretFilter, secrets
from scrapy_t8.utils.log.mask import NAMES

URL = "https://ann:geh3im@shop.example/x?token=geh3im"


@pytest.fixture
def logger() -> logging.Logger:
    made = logging.getLogger("tests.secrets")
    made.filters = [SecretFilter()]
    return made


def test_a_record_shows_no_secret(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.warning("%s cannot be had: %r", URL, ValueError(URL))
    assert "geh3im" not in caplog.text
    assert caplog.text.count("https://***@shop.example/x?token=***") == 2


def test_a_traceback_shows_no_secret(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(f"cannot parse {URL}")
    except ValueError:
        logger.exception("oh")
    assert "ValueError: cannot parse https://***@shop.example" in caplog.text
    # The line of code is that of this file, and names no secret.
    assert "geh3im" not in caplog.text


def test_a_record_without_secrets_keeps_its_arguments(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.warning("%d of %s", 3, "x")
    assert (caplog.records[0].msg, caplog.records[0].args) == ("%d of %s", (3, "x"))


def test_a_record_that_cannot_be_formatted_is_the_business_of_the_handler() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%d", ("no number",), None)
    assert SecretFilter().filter(record)
    assert record.args == ("no number",)


def shown(made: SecretFilter, text: str) -> str:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%s", (text,), None)
    made.filter(record)
    return record.getMessage()


def test_the_names_of_all_crawls_of_a_process_are_hidden() -> None:
    made = SecretFilter()
    made.hide(["pin"])
    assert shown(made, "/?pin=1&token=2") == "/?pin=***&token=2"
    made.hide(["token"])
    assert shown(made, "/?pin=1&token=2") == "/?pin=***&token=***"


def test_a_crawl_that_hides_no_names_still_hides_credentials() -> None:
    made = SecretFilter()
    made.hide([])
    assert shown(made, "http://a:b@h/?token=1") == "http://***@h/?token=1"


def test_the_default_names_are_hidden_until_a_crawl_names_others() -> None:
    assert all(shown(SecretFilter(), f"{name}=geh3im") == f"{name}=***" for name in NAMES)
    assert shown(secrets, URL).count("***") == 2
