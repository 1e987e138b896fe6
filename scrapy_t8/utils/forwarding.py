"""Methods that an object offers and a part of it has."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Owner = TypeVar("Owner")
Part = TypeVar("Part")
P = ParamSpec("P")
T = TypeVar("T")


def forwarded(
    part: Callable[[Owner], Part], method: Callable[Concatenate[Part, P], T]
) -> Callable[Concatenate[Owner, P], T]:
    """Return a method that calls the method of the same name of a *part* of its object."""

    @wraps(method)
    def call(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> T:
        found: Callable[P, T] = getattr(part(self), method.__name__)
        return found(*args, **kwargs)

    return call
