"""``make demo``: the first thing that a new user runs."""

from __future__ import annotations

import pytest

from tests.support.process import ROOT, run

pytestmark = pytest.mark.slow


def test_the_demo_loses_nothing() -> None:
    done = run(ROOT / "example_project/demo.py")
    assert done.returncode == 0, done.stdout + done.stderr
    table = dict(
        line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if line.startswith(("lost", "dup", "kills"))
    )
    assert table == {"lost": "0", "duplicated": "0", "kills": "2"}
    assert "COMPLETE" in done.stdout
