"""The sources of settings: profiles, a ``.env`` file, the environment, and what a program gives.

The environment and ``.env`` are read with pydantic-settings, which is imported only if one of them has a setting: other
crawls do not pay for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scrapy_t8.errors import ConfigError

PREFIX = "T8_"
ENV = "T8_ENV"
FILE = Path(".env")

IN_PROFILE = ("T8_MAX_WORKERS", "T8_RETRY_CHECK_INTERVAL", "T8_ENABLE_METRICS", "T8_LOG_LEVEL")
PROFILES: dict[str, dict[str, Any]] = {
    "development": dict(zip(IN_PROFILE, (3, 60.0, False, "DEBUG"), strict=True)),
    "testing": dict(zip(IN_PROFILE, (2, 120.0, True, "INFO"), strict=True)),
    "production": dict(zip(IN_PROFILE, (10, 15.0, True, "WARNING"), strict=True)),
}


class Layer(NamedTuple):
    """The ``T8_*`` values of one source, which *origin* names for messages."""

    origin: str
    values: Mapping[str, Any]


def layers(given: Mapping[str, Any], origin: str) -> list[Layer]:
    """Return the layers of settings, the strongest first.

    :param given: the values that a program or Scrapy gives, as *origin* says.
    :raises ConfigError: for an unknown profile, or a ``.env`` that cannot be read.
    """
    found = [Layer(origin, given), *_outside()]
    for layer in found:
        if layer.values.get(ENV):
            return [*found, _profile(layer)]
    return found


def _profile(layer: Layer) -> Layer:
    name = layer.values[ENV]
    if name not in PROFILES:
        expected = ", ".join(PROFILES)
        raise ConfigError(f"{ENV} is {name!r}, but must be one of {expected} (from {layer.origin})")
    return Layer(f"the profile {name}", PROFILES[name])


def _outside() -> Iterator[Layer]:
    # A directory of this name is a virtual environment.
    is_there = FILE.is_file() or FILE.is_fifo()
    if not is_there and not any(name.startswith(PREFIX) for name in os.environ):
        return
    from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

    yield Layer("the environment", _ours(EnvSettingsSource(BaseSettings, case_sensitive=True).env_vars))
    if is_there:
        where = f"the file {FILE.absolute()}"
        try:
            source = DotEnvSettingsSource(BaseSettings, env_file=FILE, env_file_encoding="utf-8", case_sensitive=True)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{where} cannot be read: {error}. Correct the file, or remove it") from None
        yield Layer(where, _ours(source.env_vars))


def _ours(values: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name: value for name, value in values.items() if name.startswith(PREFIX)}
