"""A class of record_class behaves as a dataclass does."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from scrapy_t8.utils.classes import record_class


@record_class(frozen=True, slots=True)
class Frozen:
    name: str
    count: int = 1
    parts: tuple[str, ...] = field(default_factory=tuple)
    note: str = field(default="", compare=False)


@record_class(slots=True)
class Open:
    name: str
    rows: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name.strip()


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    count: int = 1
    parts: tuple[str, ...] = field(default_factory=tuple)
    note: str = field(default="", compare=False)


@pytest.mark.parametrize("args", [("a",), ("a", 2), ("a", 2, ("x",), "n")])
def test_it_is_made_shown_and_listed_like_a_dataclass(args: Any) -> None:
    ours, model = Frozen(*args), Model(*args)

    assert asdict(ours) == asdict(model)
    assert repr(ours) == repr(model).replace("Model", "Frozen")
    assert [each.name for each in fields(ours)] == ["name", "count", "parts", "note"]


def test_fields_that_are_not_compared_do_not_count() -> None:
    assert Frozen("a", note="x") == Frozen("a", note="y")
    assert len({Frozen("a", note="x"), Frozen("a", note="y"), Frozen("b")}) == 2
    assert Frozen("a") != Model("a")


def test_defaults_of_two_objects_are_not_shared() -> None:
    Open("a").rows.append(1)

    assert Open("b").rows == []


def test_an_open_one_can_be_changed_and_has_no_hash() -> None:
    changed = Open(" a ")
    changed.rows = [1]

    assert changed == Open("a", [1])
    with pytest.raises(TypeError):
        hash(changed)


def test_a_frozen_one_cannot_be_changed() -> None:
    frozen = Frozen("a")

    with pytest.raises(FrozenInstanceError):
        frozen.name = "b"
    with pytest.raises(FrozenInstanceError):
        del frozen.name
    assert replace(frozen, count=2) == Frozen("a", 2)


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), (("a", 1, (), "", 5), {}), (("a",), {"name": "b"}), (("a",), {"cuont": 2})]
)
def test_wrong_arguments_are_an_error(args: Any, named: Any) -> None:
    with pytest.raises(TypeError):
        Frozen(*args, **named)


@pytest.mark.parametrize("made", [Frozen("a", 2, ("x",), "n"), Open("a", [1])])
def test_it_can_be_copied_and_pickled(made: Any) -> None:
    assert copy.copy(made) == copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
