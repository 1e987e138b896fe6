"""Old module paths and class names: each still works, and warns with the name that replaces it."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = __name__.partition(".")[0]

MODULES = {
    "checkpoint": ("components.extensions.checkpoint",),
    "deadletters": ("core.offline.dead_letters",),
    "expecting": ("components.extensions.expectations",),
    "failure": ("core.retry.failure",),
    "feeds": ("components.feeds.exporter",),
    "grace": ("components.extensions.shutdown",),
    "healing": ("core.offline.heal",),
    "integrity": (),
    "integrity.validators": ("validation.validator",),
    "kept": (),
    "kept.cookies": ("components.downloadermiddlewares.cookies",),
    "kept.robots": ("components.downloadermiddlewares.robotstxt",),
    "kept.state": ("components.extensions.spiderstate",),
    "kept.throttle": ("components.extensions.throttle",),
    "kept.totals": ("components.extensions.stats", "components.extensions.closespider"),
    "mishaps": ("components.spidermiddlewares.failures",),
    "pipelines.entry": ("pipelines.counting",),
    "report.extension": ("components.extensions.report",),
    "resume": ("model.resume_point",),
    "retry": ("components.downloadermiddlewares.retry",),
    "scheduler": ("components.scheduler", "components.dupefilter", "components.queues"),
    "signals": ("components.signals",),
    "sqldatabase": ("validation.sql_database",),
    "start": ("components.spidermiddlewares.start",),
    "states": ("core.offline.resume_points",),
    "tasks": ("model.failed_task",),
    "track": ("core.watermark",),
}
"""For each module of release 0.1 that a user may have named: the modules that hold its content now."""

NAMES = {
    "DatabaseFailed": "DatabaseError",
    "Handle": "JobHandle",
    "T8CacheGuard": "T8RetryCacheMiddleware",
    "T8Delays": "T8ThrottleState",
    "T8EntryPipeline": "T8ItemCounterPipeline",
    "T8Expecting": "T8Expectations",
    "T8Grace": "T8GracefulStop",
    "T8MishapMiddleware": "T8FailureMiddleware",
    "T8Totals": "T8JobStats",
    "Track": "Watermark",
    "Which": "LetterFilter",
}
"""For each public name of release 0.1 that has changed: the name that replaces it."""


def renamed(module: ModuleType, name: str) -> Any:
    """Return the object with the old *name* in *module*, with a warning that gives its new name."""
    new = NAMES.get(name)
    if new is None:
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
    found = getattr(module, new)
    warnings.warn(f"{module.__name__}.{name} is called {new} now", DeprecationWarning, stacklevel=3)
    return found


class _OldModule(ModuleType):
    """A module at an old path: every name is looked up in the modules that hold the content now."""

    def __getattr__(self, name: str) -> Any:
        old = self.__name__.removeprefix(f"{PACKAGE}.")
        new_name = NAMES.get(name, name)
        for path in MODULES[old]:
            module = import_module(f"{PACKAGE}.{path}")
            if hasattr(module, new_name):
                now = f"{PACKAGE}.{path}.{new_name}"
                if not name.startswith("__"):
                    warnings.warn(f"{self.__name__}.{name} has moved: it is {now} now", DeprecationWarning, 2)
                return getattr(module, new_name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _OldModuleLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """An old module has no code."""


def find_spec(fullname: str) -> ModuleSpec | None:
    """Return the spec of the old module *fullname*, or None if no release had such a module."""
    old = fullname.removeprefix(f"{PACKAGE}.")
    if old not in MODULES:
        return None
    return ModuleSpec(fullname, _OldModuleLoader(), is_package=not MODULES[old])
