"""Reads settings from layers of names and values, with errors that name the setting and its origin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from os import PathLike
from typing import Any

from scrapy.settings import BaseSettings, default_settings
from scrapy.utils.misc import load_object

from scrapy_t8.errors import ConfigError

from .sources import ENV, PREFIX, layers

SHUTDOWN = "shutdown"  # The reason with which Scrapy closes the spider after a signal
DEFAULT = "the default"  # The origin of a value that no source has
NEAR = 0.75  # How much of two names is the same if one is taken for the other misspelt
BOOLEANS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off", ""), False)
EXPECTED = {
    bool: "true or false",
    dict: "a dict, or one as JSON",
    float: "a number",
    int: "a whole number",
    list: "a list, or one as JSON",
    str: "text",
}


def read_layers(record: type, given: Mapping[str, Any], origin: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values for the fields of the dataclass *record* that are set anywhere, and the origin of every field.

    :param given: the strongest layer, by names with ``T8_``; other names are ignored.
    :param origin: what errors call that layer.
    :raises ConfigError: for an unknown setting, or a value of the wrong type.
    """
    known = {setting_name(field.name): field for field in fields(record)}
    values: dict[str, Any] = {}
    origins = dict.fromkeys((field.name for field in known.values()), DEFAULT)
    ours = {str(name): value for name, value in given.items() if str(name).startswith(PREFIX)}
    for layer in layers(ours, origin):
        for name, value in layer.values.items():
            try:
                if name not in known:
                    raise unknown(name, known)
                field = known[name]
                # Checked also if a stronger layer has a value: that layer may be removed later.
                typed = _typed(field, value)
            except ConfigError as error:
                raise ConfigError(f"{error} (from {layer.origin})") from None
            if field.name not in values and not (name == ENV and not value):
                values[field.name], origins[field.name] = typed, layer.origin
    return values, origins


def setting_name(field: str) -> str:
    """Return the setting of a *field*."""
    return f"{PREFIX}{field.upper()}"


def bad_value(field: str, value: Any, expected: str) -> ConfigError:
    """Return the error for a *value* that the setting of *field* cannot have."""
    return ConfigError(f"{setting_name(field)} is {value!r}, but must be {expected}")


def unknown(name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a *name* that is not among the *known* ones."""
    from difflib import get_close_matches  # slow to import, and needed for a wrong setting alone

    near = get_close_matches(name, list(known), n=1, cutoff=NEAR)
    of_scrapy = name.removeprefix(PREFIX)
    if hasattr(default_settings, of_scrapy):
        hint = f"{of_scrapy} is a setting of Scrapy" + (f"; or did you mean {near[0]}?" if near else "")
    else:
        hint = f"did you mean {near[0]}?" if near else "scrapy t8 help settings lists all"
    return ConfigError(f"there is no setting {name}: {hint}")


def checked_reasons(name: str, given: Any) -> frozenset[str]:
    """Return *given*, the close reasons of T8_DONE_REASONS or of the attribute *name* of a spider.

    :raises ConfigError: for anything but a list of reasons that a spider may give.
    """
    if not isinstance(given, (list, tuple, set, frozenset)):
        raise ConfigError(f'{name} is {given!r}, but must be a list of close reasons, such as ["enough"]')
    for reason in given:
        if not isinstance(reason, str) or not reason:
            raise ConfigError(f'{name} has {reason!r}, but a close reason is text, such as "enough"')
        if reason == SHUTDOWN or reason.startswith(PREFIX.lower()):
            raise ConfigError(f"{name} has {reason!r}: after such an end the same command resumes the job")
    return frozenset(given)


def load_callable(setting: str, path: Any) -> Any:
    """Return the callable at the import *path*, or *path* if it is a callable itself.

    :param setting: what the error calls the value.
    :raises ConfigError: if the import fails, or finds something else.
    """
    try:
        found = load_object(path)
    except Exception as error:  # the import runs code of the user
        raise ConfigError(f"{setting} names {path!r}, which cannot be loaded: {error}") from None
    if not callable(found):
        raise ConfigError(f"{setting} names {path!r}, which cannot be called")
    return found


def _typed(field: Field[Any], value: Any) -> Any:
    """Return *value*, which may be text from a command line, as the type of the field's default."""
    make = field.default_factory
    kind: type = type(field.default) if make is MISSING else type(make())
    if kind is type(None):  # of several types: its user checks the value
        return value.copy_to_dict() if isinstance(value, BaseSettings) else value
    try:
        if kind is bool:
            return BOOLEANS[str(value).strip().lower()]
        if kind in (dict, list):
            return _collection(kind, value)
        is_text = isinstance(value, (str, PathLike))
        is_part = kind is int and isinstance(value, float) and not value.is_integer()
        if is_part or (not is_text if kind is str else isinstance(value, bool)):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError, KeyError):
        raise bad_value(field.name, value, EXPECTED[kind]) from None


def _collection(kind: type, value: Any) -> Any:
    value = json.loads(value) if isinstance(value, str) else value
    if isinstance(value, (BaseSettings, tuple)):  # as Scrapy stores a dict, or a user gives a list
        value = kind(value)
    if not isinstance(value, kind):
        raise ValueError(value)
    return value
