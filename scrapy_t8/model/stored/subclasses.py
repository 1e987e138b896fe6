"""What an object of a Request subclass has beside the attributes of Request: read off, and put back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from scrapy import Request

from scrapy_t8.errors import CannotLoad, CannotStore


def _base_names() -> frozenset[str]:
    """Return the names under which Request keeps its own attributes: slots, or those of an object without slots."""
    slots = [name for cls in Request.__mro__ for name in vars(cls).get("__slots__", ())]
    return frozenset([*slots, *getattr(Request("data:,"), "__dict__", ()), *Request.attributes])


BASE = _base_names()

_slots: WeakKeyDictionary[type, tuple[str, ...]] = WeakKeyDictionary()

STATE = "attributes"
"""Field of a stored request: the attributes that Request itself does not have."""


def own_attributes(request: Request) -> dict[str, Any]:
    """Return the attributes of *request* that Request itself does not have, by name."""
    own = {name: value for name, value in getattr(request, "__dict__", {}).items() if name not in BASE}
    for name in _own_slots(type(request)):
        if hasattr(request, name):
            own[name] = getattr(request, name)
    return own


def _own_slots(cls: type[Request]) -> tuple[str, ...]:
    if cls not in _slots:
        _slots[cls] = tuple(_find_own_slots(cls))
    return _slots[cls]


def _find_own_slots(cls: type[Request]) -> list[str]:
    found: list[str] = []
    for owner in cls.__mro__:
        slots = vars(owner).get("__slots__", ()) if owner not in Request.__mro__ else ()
        for name in (slots,) if isinstance(slots, str) else slots:
            is_private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{owner.__name__.lstrip('_')}{name}" if is_private else name)
    return [name for name in found if name not in BASE and name not in ("__dict__", "__weakref__")]


def rebuild(cls: type[Request], fields: Mapping[str, Any], own: Mapping[str, Any]) -> Request:
    """Return a request of class *cls*. The constructor of *cls* does not run: its parameters are not known.

    :raises CannotLoad: if *own* names an attribute of Request itself.
    """
    if not BASE.isdisjoint(own):
        raise CannotLoad(f"the stored bytes set attributes of Request: {', '.join(sorted(BASE & set(own)))}")
    request: Request = cls.__new__(cls)
    _put(request, own)  # a method that Request.__init__ calls may be overridden, and may need them
    Request.__init__(request, **{name: value for name, value in fields.items() if name in Request.attributes})
    _put(request, own)
    return request


def _put(request: Request, own: Mapping[str, Any]) -> None:
    slots = _own_slots(type(request))
    for name, value in own.items():
        if name in slots:
            object.__setattr__(request, name, value)
        else:
            request.__dict__[name] = value


def difference(request: Request, again: Request) -> str:
    """Return the name of the first attribute in which two requests differ; empty if there is none."""
    if type(request) is not type(again):
        return "class"
    own, again_own = own_attributes(request), own_attributes(again)
    for name in {**own, **again_own}:
        if name not in own or name not in again_own or not _is_same(own[name], again_own[name]):
            return name
    for name in Request.attributes:
        if not _is_same(getattr(request, name), getattr(again, name)):
            return name
    return ""


class Subclasses:
    """The subclasses of Request that a crawl uses, and whether their objects come back from the store as they were.

    :param load: returns the request of the fields of a stored form, packed and unpacked.
    """

    def __init__(self, load: Callable[[dict[str, Any]], Request]) -> None:
        self._load = load
        self._is_faithful: dict[type, bool] = {}

    def forget(self, cls: type) -> None:
        """Look at the next object of *cls* again."""
        self._is_faithful.pop(cls, None)

    def check(self, request: Request, fields: dict[str, Any]) -> None:
        """Check that *fields* stand for all of *request*: once for each class.

        :raises CannotStore: if they do not.
        """
        cls = type(request)
        if cls not in self._is_faithful:
            try:
                self._is_faithful[cls] = not difference(request, self._load(fields))
            except CannotLoad:
                self._is_faithful[cls] = False
            except Exception:
                return  # this object cannot be packed; the caller raises the error
        if not self._is_faithful[cls]:
            raise CannotStore(f"a {cls.__qualname__} does not come back from the store as it was")


def _is_same(value: Any, other: Any) -> bool:
    try:
        # A value that does not equal itself (NaN, an object without __eq__) is compared by what it looks like.
        return bool(value == other) or repr(value) == repr(other)
    except Exception:
        return False
