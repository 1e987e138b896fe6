"""Checks of items, by tables."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from dataclasses import field as data_field
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scrapy import Field as ScrapyField
from scrapy import Item
from scrapy.settings import BaseSettings

from scrapy_t8.core.items.checks import ItemChecks, Problem, coverage_problems, coverage_thresholds
from scrapy_t8.errors import ConfigError

HERE = "tests.unit.core.items.test_checks"
CAR = {
    "type": "object",
    "required": ["name", "price"],
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "price": {"type": "number", "minimum": 0},
        "seen": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "colour": {"enum": ["red", "blue"]},
        "maker": {"$ref": "#/$defs/maker"},
    },
    "$defs": {"maker": {"type": "object", "required": ["country"]}},
}


class ScrapyCar(Item):
    name = ScrapyField()
    price = ScrapyField()


@dataclass
class DataCar:
    name: Any = None
    price: Any = None
    never: str = data_field(init=False)


@attrs.define
class AttrsCar:
    name: Any = None
    price: Any = None


class ModelCar(BaseModel):
    name: Any = None
    price: Any = None


class StrictCar(BaseModel):
    """The model that items have to meet."""

    model_config = ConfigDict(strict=True)

    name: str = Field(alias="Name", min_length=2)
    price: float
    seen: date | None = None

    @field_validator("price")
    @classmethod
    def is_possible(cls, price: float) -> float:
        if price > 1000:
            raise KeyError("a bug in a validator")
        return price


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


KINDS = [dict, ScrapyCar, DataCar, AttrsCar, ModelCar]


def facts(problems: list[Problem]) -> list[tuple[str, str, str]]:
    return [(problem.rule, problem.field, problem.message) for problem in problems]


# -- required fields ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_required_fields_of_every_kind_of_item(kind: Any) -> None:
    checks = ItemChecks(["name", "price"], None)
    assert checks.check(kind(name="a", price=0)) == []
    assert checks.check(kind(name="", price=0)) == [Problem("required", kind.__name__, "name", "is empty")]
    assert [p.field for p in checks.check(kind(name="a"))] == ["price"]


@pytest.mark.parametrize("value", [None, "", b"", [], {}, (), set(), ScrapyCar()])
def test_what_is_empty(value: Any) -> None:
    assert facts(ItemChecks(["name"], None).check({"name": value})) == [("required", "name", "is empty")]


@pytest.mark.parametrize("value", [0, 0.0, False, " ", [None], Decimal(0)])
def test_what_is_not(value: Any) -> None:
    assert ItemChecks(["name"], None).check({"name": value}) == []


def test_the_most_exact_name_of_a_class_wins() -> None:
    checks = ItemChecks({f"{HERE}.DataCar": ["name"], "DataCar": ["price"], "AttrsCar": [], "*": ["other"]}, {})
    assert [p.field for p in checks.check(DataCar())] == ["name"]
    assert [p.field for p in checks.check(AttrsCar())] == []
    assert [p.field for p in checks.check({})] == ["other"]


@pytest.mark.parametrize(
    "given", ['["name"]', '{"*": ["name"]}', "name, price", BaseSettings({"*": ["name"]}), ("name",)]
)
def test_required_fields_from_anywhere(given: Any) -> None:
    assert ItemChecks(given, None).check({"price": 1})[0].field == "name"


@pytest.mark.parametrize("nothing", [None, [], {}, ""])
def test_nothing_to_check_costs_nothing(nothing: Any) -> None:
    assert not ItemChecks(nothing, nothing)
    assert ItemChecks(nothing, nothing).check({}) == []
    assert ItemChecks(["name"], nothing)


# -- schemas -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "problems"),
    [
        ({}, []),
        ({"price": Decimal("9.90")}, []),
        ({"price": None}, [("type", "price", 'the schema asks for type "number"')]),
        ({"price": -1}, [("minimum", "price", "the schema asks for minimum 0")]),
        ({"name": "x"}, [("minLength", "name", "the schema asks for minLength 2")]),
        ({"seen": date(2024, 1, 15)}, []),
        ({"seen": "January"}, [("format", "seen", 'the schema asks for format "date"')]),
        ({"tags": {"a"}}, []),
        ({"tags": [1, "a", 2, 3]}, [("type", "tags[]", 'the schema asks for type "string"')]),
        ({"colour": "green"}, [("enum", "colour", 'the schema asks for enum ["red", "blue"]')]),
        ({"maker": AttrsCar()}, [("required", "maker.country", "is missing")]),
    ],
)
def test_a_json_schema(more: dict[str, Any], problems: list[tuple[str, str, str]]) -> None:
    checks = ItemChecks(None, {"*": CAR})
    assert facts(checks.check({"name": "Mini", "price": 5} | more)) == problems


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_json_schema_and_missing_fields(kind: Any) -> None:
    problems = ItemChecks(None, {kind.__name__: CAR}).check(kind())
    assert facts(problems) == [("required", "name", "is missing"), ("required", "price", "is missing")]


def test_a_problem_is_the_same_for_every_value() -> None:
    checks = ItemChecks(None, {"*": CAR})
    one, other = (checks.check({"name": "Mini", "price": price})[0] for price in ("9 EUR", "10 EUR"))
    assert one == other
    assert {one, other} == {one}
    assert (one.value, other.value) == ("'9 EUR'", "'10 EUR'")


@pytest.mark.parametrize("model", [StrictCar, f"{HERE}.StrictCar"])
def test_a_pydantic_model(model: Any) -> None:
    checks = ItemChecks(None, {"*": model})
    assert checks.check({"name": "Mini", "price": 5.0, "seen": date(2024, 1, 15)}) == []
    assert checks.check({"Name": "Mini", "price": 5.0}) == []
    assert facts(checks.check({"name": "Mini", "price": "5"})) == [
        ("float_type", "price", "Input should be a valid number")
    ]
    assert [(p.rule, p.field) for p in checks.check(DataCar("x"))] == [
        ("string_too_short", "name"),
        ("float_type", "price"),
    ]


def test_an_instance_of_the_model_is_checked_too() -> None:
    checks = ItemChecks(None, StrictCar)
    assert checks.check(StrictCar(Name="Mini", price=5.0)) == []
    assert [p.field for p in checks.check(StrictCar.model_construct(name="Mini", price="5"))] == ["price"]


def test_a_check_that_fails_is_a_problem() -> None:
    checks = ItemChecks(["name"], StrictCar)
    assert facts(checks.check({"name": "Mini", "price": 2000.0})) == [
        ("error", "", "the check failed: KeyError('a bug in a validator')")
    ]
    assert [p.rule for p in checks.check({"name": Broken()})] == ["error", "string_type", "missing"]
    assert [p.rule for p in checks.check(object())] == ["error"]


def test_an_item_that_contains_itself() -> None:
    item: dict[str, Any] = {"name": "Mini"}
    item["price"] = item
    assert [p.rule for p in ItemChecks(None, {"*": CAR}).check(item)] == ["error"]


scalars = [st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(), st.datetimes()]
values = st.recursive(
    st.one_of(*scalars, st.times(), st.builds(Broken), st.builds(object)),
    lambda part: st.lists(part) | st.dictionaries(st.text() | st.integers(), part) | st.builds(DataCar, part, part),
    max_leaves=8,
)


BOTH = [ItemChecks(["name"], {"*": schema}) for schema in (CAR, StrictCar)]


@given(st.dictionaries(st.sampled_from(sorted(CAR["properties"])) | st.text(), values))  # type: ignore[call-overload]
def test_checks_never_raise(item: dict[str, Any]) -> None:
    for checks in BOTH:
        for problem in checks.check(item):
            json.dumps([problem.rule, problem.item, problem.field, problem.message, problem.value])


# -- settings that make no sense ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("required", "schemas", "message"),
    [
        (7, None, r"T8_REQUIRED_FIELDS is 7"),
        ([1], None, r"T8_REQUIRED_FIELDS is \[1\]"),
        ({"Car": {"name": 1}}, None, r"T8_REQUIRED_FIELDS\['Car'\] is"),
        ('["name"', None, "T8_REQUIRED_FIELDS is .* not JSON"),
        (None, {"Car": 7}, r"T8_ITEM_SCHEMA\['Car'\] is 7"),
        (None, {"Car": {"type": "txt"}}, r"T8_ITEM_SCHEMA\['Car'\] is not a JSON Schema: 'txt' is not valid"),
        (None, {"Car": {"$schema": [], "type": "object"}}, r"T8_ITEM_SCHEMA\['Car'\] is not a JSON Schema"),
        (None, {"Car": {"properties": {"a": {"$ref": "#/$defs/b"}}}}, r"is not a JSON Schema: .*#/\$defs/b"),
        (None, {"Car": {"$ref": "http://127.0.0.1:9/car.json"}}, r"is not a JSON Schema: .*127\.0\.0\.1"),
        (None, {"Car": "nothere.json"}, r"T8_ITEM_SCHEMA\['Car'\] names 'nothere.json', which cannot be read"),
        (None, {"*": "no.such.Model"}, r"T8_ITEM_SCHEMA names 'no.such.Model', which cannot be loaded"),
        (None, {"Car": f"{HERE}.DataCar"}, "which is not a pydantic model"),
        (None, DataCar, "which is not a pydantic model"),
    ],
)
def test_invalid_arguments(required: Any, schemas: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ItemChecks(required, schemas)


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_schema_in_a_file(tmp_path: Path, as_path: Any) -> None:
    path = tmp_path / "car.json"
    path.write_text(json.dumps(CAR))
    assert ItemChecks(None, {"*": as_path(path)}).check({"name": "x", "price": 1})[0].rule == "minLength"


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read as JSON"), ("[]", "does not contain a JSON object")]
)
def test_a_file_without_a_schema(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "car.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        ItemChecks(None, {"Car": str(tmp_path / "car.json")})


@pytest.mark.parametrize(("module", "schema"), [("jsonschema.validators", CAR), ("pydantic", f"{HERE}.StrictCar")])
def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, module: str, schema: Any) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"T8_ITEM_SCHEMA\['Car'\].*scrapy-t8\[validation\]"):
        ItemChecks(None, {"Car": schema})


# -- field coverage ----------------------------------------------------------------------------------------------


COVERAGE = [
    {"item": "Car", "count": 10, "fields": {"name": 1.0, "price": 0.9}},
    {"item": "Tyre", "count": 4, "fields": {"name": 0.5}},
    {"item": "Never", "count": 0, "fields": {}},
]


@pytest.mark.parametrize(
    ("thresholds", "gaps"),
    [
        ({}, []),
        ({"name": 0.9}, [("Tyre", "name", 0.5, 0.9)]),
        ({"name": 0.9, "Tyre": {"name": 0.5}}, []),
        ({"Car": {"price": 0.9}}, []),
        ({"Car": {"price": 0.91}}, [("Car", "price", 0.9, 0.91)]),
        ({"shop.items.Car": {"size": 0.1}}, [("Car", "size", 0.0, 0.1)]),
        ({"*": {"price": 0.5}}, [("Tyre", "price", 0.0, 0.5)]),
        ({"Never": {"name": 1}}, []),
    ],
)
def test_coverage(thresholds: dict[str, Any], gaps: list[tuple[str, str, float, float]]) -> None:
    assert list(coverage_problems(COVERAGE, thresholds)) == gaps
    assert list(coverage_problems(COVERAGE, coverage_thresholds(json.dumps(thresholds)))) == gaps


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        (["name"], r"T8_FIELD_COVERAGE is \['name'\]"),
        ({"name": 1.1}, r"T8_FIELD_COVERAGE\['name'\] is 1.1"),
        ({"name": True}, r"T8_FIELD_COVERAGE\['name'\] is True"),
        ({"name": float("nan")}, r"T8_FIELD_COVERAGE\['name'\] is nan"),
        ({"Car": {"name": "all"}}, r"T8_FIELD_COVERAGE\['Car'\]\['name'\] is 'all'"),
    ],
)
def test_coverage_that_makes_no_sense(thresholds: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        coverage_thresholds(thresholds)


def test_times_are_written_in_iso_8601() -> None:
    schema = {"properties": {"at": {"const": "2024-01-15T10:30:00+00:00"}}}
    assert ItemChecks(None, {"*": schema}).check({"at": datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)}) == []
