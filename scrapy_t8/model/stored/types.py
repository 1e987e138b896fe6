"""The encodings of types that msgpack does not have, and the lookup of classes, which imports nothing."""

from __future__ import annotations

import dataclasses
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from pathlib import PosixPath
from types import FunctionType, MethodType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from itemadapter import ItemAdapter
from scrapy import Item, Request, Spider
from scrapy.http import Headers

from scrapy_t8.errors import CannotLoad, CannotStore


def class_path(cls: type) -> str:
    """Return the name of *cls* for :func:`find_class`; an error for a class without one, as inside of a function."""
    path = f"{cls.__module__}:{cls.__qualname__}"
    with suppress(KeyError, AttributeError):
        if _lookup(path) is cls:
            return path
    raise CannotStore(f"the class {path} cannot be found again by its name")


def _lookup(path: str) -> Any:
    """Return an object by its name. It never imports: a state file must not be able to name code to run."""
    module, _, name = path.partition(":")
    return attrgetter(name)(sys.modules[module])


COMPILED = "cython_function_or_method"
"""The type of a method that Cython has compiled."""
DEFAULT_CALLBACKS = ("parse", "_parse")
"""Methods of Scrapy's own Spider that may be callbacks."""


def spider_method(spider: Any, name: str) -> Callable[..., Any] | None:
    """Return the method *name* of *spider*, if the project has defined it; None for anything else.

    Whatever else an attribute of the spider is (a class, a static method, a method of Scrapy's Spider, a property), a
    stored name must not lead to a call of it.
    """
    own = None if spider is None else vars(spider).get(name)
    if isinstance(own, MethodType):
        return own if own.__self__ is spider and own.__func__ not in vars(Spider).values() else None
    for cls in type(spider).__mro__:
        if name in vars(cls):
            found = vars(cls)[name]
            is_function = isinstance(found, FunctionType) or type(found).__name__ == COMPILED
            is_callback = is_function and (cls is not Spider or name in DEFAULT_CALLBACKS)
            return MethodType(found, spider) if is_callback and not _is_special(name) else None
        if cls is Spider:
            break
    return None


def names_of(spider: Any, function: Any) -> Iterator[str]:
    """Yield the names under which the spider, or a class of it, has a method of this function."""
    for owner in (spider, *type(spider).__mro__):
        yield from (name for name, found in vars(owner).items() if getattr(found, "__func__", found) is function)


def not_a_method(function: Callable[..., Any], attribute: str) -> CannotStore:
    """Return the error of a callback or errback, in this *attribute* of a request, that is no method of the spider."""
    shown = getattr(function, "__qualname__", repr(function))
    return CannotStore(f"{shown} is not a method of the spider", attribute)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


REBUILT: dict[str, Callable[[type], bool]] = {
    "request": lambda cls: issubclass(cls, Request),
    "item": ItemAdapter.is_item_class,
    "enum": lambda cls: issubclass(cls, Enum),
    "named tuple": lambda cls: is_named_tuple(cls),
    "plain object": lambda cls: cls.__dictoffset__ != 0,
}
PLAIN_CLASSES = ("scrapy_playwright.page.PageMethod",)
"""Classes of which objects are always stored, by their attributes."""


def is_named_tuple(cls: type) -> bool:
    """Whether *cls* is a class of named tuples."""
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def find_class(path: str, what: str) -> Any:
    """Return the class of the kind *what* that :func:`class_path` has named *path*.

    :raises CannotLoad: if it is not imported, or of another kind.
    """
    try:
        cls = _lookup(path)
    except (KeyError, AttributeError):
        raise CannotLoad(f"its class {path} is not imported by the spider", kind="class") from None
    if not isinstance(cls, type) or not REBUILT[what](cls):
        raise CannotLoad(f"{path} is not a class of {what}s", kind="class")
    return cls


def item_fields(item: Any) -> list[Any]:
    """Return the class and the fields of *item*, for :func:`make_item`."""
    return [class_path(type(item)), dict(ItemAdapter(item).items())]


def make_item(path: str, values: dict[str, Any]) -> Any:
    """Return an item with these values as fields. The ``__init__`` and the validation of its class do not run."""
    cls = find_class(path, "item")
    if hasattr(cls, "model_construct"):
        return cls.model_construct(**values)
    item = cls.__new__(cls)
    if dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
        for name, value in values.items():
            object.__setattr__(item, name, value)
        return item
    if isinstance(item, Item):
        Item.__init__(item, values)
        return item
    return cls(**values)


def is_plain(value: Any, classes: Collection[str]) -> bool:
    """Whether *value* is of one of these *classes*, and all that it has are attributes of its own."""
    cls = type(value)
    has_slots = any(vars(base).get("__slots__") for base in cls.__mro__)
    return f"{cls.__module__}.{cls.__qualname__}" in classes and hasattr(value, "__dict__") and not has_slots


def make_plain(stored: list[Any], classes: Collection[str]) -> Any:
    """Return the object whose class, one of these *classes*, and attributes are *stored*. No code of the class runs."""
    path, attributes = stored
    if path.replace(":", ".") not in classes:
        raise CannotLoad(f"T8_STORED_CLASSES does not name its class {path}", kind="class")
    value = object.__new__(find_class(path, "plain object"))
    object.__getattribute__(value, "__dict__").update(attributes)
    return value


def _encode_time(value: datetime | time) -> list[Any]:
    zone = value.tzinfo
    if zone is None or isinstance(zone, timezone):
        return [value.isoformat(), value.fold, None]
    if isinstance(zone, ZoneInfo) and zone.key:
        return [value.replace(tzinfo=None).isoformat(), value.fold, zone.key]
    raise CannotStore(f"a time zone of {type(zone).__qualname__} cannot be stored")


def _decode_time(cls: Any) -> Callable[[list[Any]], Any]:
    def decode(stored: list[Any]) -> Any:
        text, fold, zone = stored
        value = cls.fromisoformat(text).replace(fold=fold)
        return value.replace(tzinfo=ZoneInfo(zone)) if zone else value

    return decode


TYPES: tuple[tuple[int, type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    (1, tuple, list, tuple),
    (2, set, list, set),
    (3, frozenset, list, frozenset),
    (4, datetime, _encode_time, _decode_time(datetime)),
    (5, date, date.isoformat, date.fromisoformat),
    (6, time, _encode_time, _decode_time(time)),
    (7, timedelta, lambda value: [value.days, value.seconds, value.microseconds], lambda stored: timedelta(*stored)),
    (8, Decimal, str, Decimal),
    (9, int, str, int),  # msgpack encodes integers of up to 64 bits itself
    (10, complex, lambda value: [value.real, value.imag], lambda stored: complex(*stored)),
    (11, UUID, lambda value: value.bytes, lambda stored: UUID(bytes=stored)),
    (12, OrderedDict, lambda value: [list(pair) for pair in value.items()], OrderedDict),
    (13, Headers, lambda value: dict(value.items()), Headers),
    (14, PosixPath, str, PosixPath),
)
"""The code of each extension type, the type, and how it is encoded and decoded. A code never gets another meaning."""
ENCODERS = {cls: (code, encode) for code, cls, encode, _ in TYPES}
DECODERS = {code: decode for code, _, _, decode in TYPES}
