"""What all tests share: the site, a crawl of it, a clock, a service; and the options of the crash tests."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from scrapy_t8 import T8ResumeAndRetry

from .support.clock import Clock
from .support.crawl import Crawl
from .support.pages import VALUES, CommonPages
from .support.site import Server, Site, serving

TRIALS = 14
"""One of each form of the command."""
VERDICTS = 60
SEED = 1000
"""The seed of sessions with no more trials than these, which are the same in each of them: no test fails by chance."""
# How long a machine takes for an example says nothing about the code.
PROFILE: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("random", max_examples=300, **PROFILE)
settings.register_profile("the same each time", derandomize=True, max_examples=30, **PROFILE)
settings.load_profile("the same each time")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crash tests")
    group.addoption("--trials", type=int, default=TRIALS, help="trials with kills at random moments")
    group.addoption("--verdicts", type=int, default=VERDICTS, help="generated projects whose verdict is recounted")
    group.addoption("--seed", type=int, default=None, help="repeat the moments of an earlier session")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the settings of the machine, and choose one seed for all processes of the session."""
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]
    elif config.option.seed is None:
        is_usual = config.option.trials <= TRIALS and config.option.verdicts <= VERDICTS
        config.option.seed = SEED if is_usual else random.SystemRandom().randrange(10**6)
    for name in [name for name in os.environ if name.startswith("T8_")]:
        del os.environ[name]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["seed"] = node.config.option.seed


@pytest.fixture(scope="session")
def common(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that all processes of this session have in common. What is in it stays as it is."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(pytestconfig, "workerinput") else own


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def site(server: Server) -> Iterator[Site]:
    """A site that no test has visited. Held responses are sent when the test is over."""
    site = server.site(CommonPages(), VALUES)
    yield site
    site.release()


@pytest.fixture
def crawl(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Crawl:
    """A job of the project that lies beside the test."""
    return Crawl(request.path.parent / "project", site, tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory of the test, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_service(here: Path, clock: Clock) -> Iterator[Callable[..., T8ResumeAndRetry]]:
    """Make services on one state, whose delays are as long as they can be."""
    made: list[T8ResumeAndRetry] = []

    def make(**config: object) -> T8ResumeAndRetry:
        made.append(T8ResumeAndRetry(config, clock=clock, chance=lambda: 1.0))
        return made[-1]

    yield make
    for service in made:
        service.stop_service(0)


@pytest.fixture
def service(make_service: Callable[..., T8ResumeAndRetry]) -> T8ResumeAndRetry:
    return make_service()
