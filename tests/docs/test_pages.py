"""The pages that lead through commands: everything that they print is run as printed, and prints what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .sessions import DOCS, check

pytestmark = pytest.mark.slow


def test_the_tutorial(tmp_path: Path) -> None:
    session = check(DOCS / "tutorial.md", tmp_path)
    cars = [json.loads(line) for line in (session.home / "shop/cars.jsonl").read_text().splitlines()]
    assert sorted(cars, key=lambda car: int(car["name"].split()[1])) == [
        {"name": f"Car {number}", "price": None if number == 20 else number * 1000} for number in range(1, 31)
    ]
