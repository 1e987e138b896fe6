"""Many workers and a server that are killed: nothing lost, nothing twice in the merged feeds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import binaries

from .lab import Lab, torture

pytestmark = pytest.mark.slow
FEW = 2
"""Trials of a usual session: the others are for the torture."""


@pytest.fixture(params=["redis", "valkey"])
def binary(request: pytest.FixtureRequest) -> str:
    if request.param not in binaries():
        pytest.skip(f"there is no {request.param}-server here")
    return str(request.param)


@pytest.fixture
def lab(tmp_path: Path, binary: str) -> Iterator[Lab]:
    lab = Lab(tmp_path, binary, pages=1500, workers=4)
    yield lab
    lab.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "trial" in metafunc.fixturenames:
        trials = metafunc.config.getoption("--trials")
        metafunc.parametrize("trial", range(FEW if trials <= 14 else trials))


def test_nothing_is_lost_and_nothing_comes_twice(lab: Lab, trial: int, pytestconfig: pytest.Config) -> None:
    lab.what.append(f"seed {pytestconfig.getoption('--seed')}, trial {trial}")
    torture(lab, random.Random(lab.what[0]), moments=6)
    lab.check()
