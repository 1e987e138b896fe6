"""What classes are made with: dataclasses that are cheap to define, and methods that a part of an object has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

__all__ = ["forwarded", "path_of", "record_class"]

Owner = TypeVar("Owner")
Part = TypeVar("Part")
P = ParamSpec("P")
T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass as record_class
else:

    def record_class(*, slots: bool, frozen: bool = False) -> Any:
        """Return a decorator that makes a class what ``dataclass(slots=slots, frozen=frozen)`` makes of it.

        A tenth of the time is enough, because no method is compiled for the class. To make an object takes longer: use
        ``dataclass`` where each page makes an object.
        """
        shared = {"__init__": _init, "__repr__": _repr, "__eq__": _eq}
        if frozen:
            shared |= {"__hash__": _hash, "__setattr__": _refuse, "__delattr__": _refuse, "__setstate__": _restore}

        def decorate(cls: type) -> type:
            for name, method in shared.items():
                setattr(cls, name, method)
            return dataclass(slots=slots, init=False, repr=False, eq=False)(cls)

        return decorate


def _init(self: Any, *args: Any, **given: Any) -> None:
    known = fields(self)
    by_place = {field.name: value for field, value in zip(known, args, strict=False)}
    if len(args) > len(known) or not by_place.keys().isdisjoint(given):
        raise TypeError(f"{type(self).__name__} takes each of its {len(known)} fields once")
    given |= by_place
    for field in known:
        if field.name in given:
            value = given.pop(field.name)
        elif field.default is not MISSING:
            value = field.default
        elif field.default_factory is not MISSING:
            value = field.default_factory()
        else:
            raise TypeError(f"{type(self).__name__} needs {field.name}")
        object.__setattr__(self, field.name, value)
    if given:
        raise TypeError(f"{type(self).__name__} has no {', '.join(given)}")
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _compared(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, field.name) for field in fields(record) if field.compare)


def _eq(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _refuse(self: Any, name: str, value: object = None) -> None:
    raise FrozenInstanceError(f"cannot change field {name!r}")


def _restore(self: Any, state: tuple[None, dict[str, Any]]) -> None:
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


def path_of(cls: type) -> str:
    """Return the import path of *cls*; of a class of Python itself, its name."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def forwarded(
    part: Callable[[Owner], Part], method: Callable[Concatenate[Part, P], T]
) -> Callable[Concatenate[Owner, P], T]:
    """Return a method that calls the method of the same name of a *part* of its object."""

    @wraps(method)
    def call(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        found: Callable[P, T] = getattr(part(self), method.__name__)
        return found(*args, **kwargs)

    return call
