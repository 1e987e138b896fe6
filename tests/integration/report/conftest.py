"""The browser of the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .chromium import Chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    # Imported here: the other tests of reports need no browser. And for a module only: while it is there, an event
    # loop runs in this thread, where no test can run another.
    from .chromium import running

    with running() as found:
        yield found
