"""An exception is blamed on the code that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scrapy_t8.components.feeds.row_encoder import RowEncoder
from scrapy_t8.core.run import RunControl, StopOnError
from scrapy_t8.errors import T8Error
from scrapy_t8.utils.log.tracebacks import culprit_of


def raises(*_: Any, **__: Any) -> Any:
    return inner()


def inner() -> Any:
    raise ValueError("no exporter today")


class Exporters:
    def make(self, *_: Any, **__: Any) -> Any:
        return inner()

    @classmethod
    def of_class(cls, *_: Any, **__: Any) -> Any:
        return inner()


def not_callable_with_anything() -> Any:
    """T8 calls what it should not call like this: that is its bug."""


@pytest.mark.parametrize(
    ("build", "culprit"),
    [
        (raises, "tests.unit.utils.test_tracebacks.raises"),
        (Exporters().make, "tests.unit.utils.test_tracebacks.Exporters.make"),
        (Exporters.of_class, "tests.unit.utils.test_tracebacks.Exporters.of_class"),
        (not_callable_with_anything, ""),
        (None, ""),
    ],
)
def test_the_culprit_is_what_the_project_has_named(
    build: Callable[..., Any], culprit: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception, match=r".") as raised:
        RowEncoder(build)
    error = raised.value
    assert culprit_of(error) == culprit
    control = Control()
    assert StopOnError(control, "open a feed").__exit__(type(error), error, None)
    assert ("bug of scrapy_t8" in caplog.text) == (not culprit)
    assert f"cannot open a feed: {culprit}" in str(control.errors[0])


class Control(RunControl):
    """Notes what ends the run."""

    def __init__(self) -> None:
        self.errors: list[T8Error] = []

    def fail(self, error: T8Error) -> None:
        self.errors.append(error)


def test_what_was_never_raised_has_no_culprit() -> None:
    assert culprit_of(ValueError("x")) == ""
