"""Every ``T8_*`` setting: its name, default and check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from .errors import ConfigError

CHOICES = {
    "durability": ("process", "power"),
    "unserializable": ("memory", "error"),
    "resume": ("auto", "continue", "fresh"),
}
TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one job. Each field ``x`` is the setting ``T8_X``.

    :raises ConfigError: naming the setting, for a value that makes no sense.
    """

    durability: str = "process"
    """``process``: nothing is lost when the process dies. ``power``: nor when the machine does."""
    commit_interval: float = 0.05
    """Seconds between a change and its commit, at the most."""
    commit_pages: int = 100
    """Settled pages in one commit, at the most."""
    unserializable: str = "memory"
    """A request that cannot be stored: ``memory`` runs it from memory, ``error`` stops the crawl."""
    allow_pickle: bool = False
    """Store with pickle what has no safe encoding. Loading such a job runs code from its file."""
    crash_limit: int = 5
    """Deaths of the process during a page, before the page is tried alone."""
    resume: str = "auto"
    """``continue``: go on although arguments differ or the state is damaged. ``fresh``: begin anew."""

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _bad(name, getattr(self, name), "one of " + ", ".join(allowed))
        if not 0 < self.commit_interval <= 60:
            raise _bad("commit_interval", self.commit_interval, "seconds, above 0 and at most 60")
        for name in ("commit_pages", "crash_limit"):
            if getattr(self, name) < 1:
                raise _bad(name, getattr(self, name), "a whole number of at least 1")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Config:
        """Read the ``T8_*`` names of *settings*.

        :raises ConfigError: for a name that does not exist or a value of the wrong type.
        """
        known = {f"T8_{field.name.upper()}": field for field in fields(cls)}
        given = {name: value for name, value in settings.items() if str(name).startswith("T8_")}
        for name in given:
            if name not in known:
                raise ConfigError(_unknown(name, known))
        return cls(**{known[n].name: _typed(known[n], value) for n, value in given.items()})


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "the settings are " + ", ".join(sorted(known))
    return f"there is no setting {name}: {hint}"


def _typed(field: Any, value: Any) -> Any:
    """*value*, which may come from a command line as text, as the type of the field's default."""
    kind = type(field.default)
    try:
        if kind is bool:
            return _bool(value)
        if kind is not str and isinstance(value, bool):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        raise _bad(field.name, value, {bool: "true or false"}.get(kind, f"of type {kind.__name__}")) from None


def _bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(value)


def _bad(name: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"T8_{name.upper()} is {value!r}, but must be {expected}")
