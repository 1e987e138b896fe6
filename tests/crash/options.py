"""The options of a session, and how a test gets its plans."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from .plan import Plan


def planned(plans: Sequence[Plan]) -> pytest.MarkDecorator:
    """Give a test one plan at a time."""
    return pytest.mark.parametrize("plan", plans, ids=[plan.name for plan in plans])
