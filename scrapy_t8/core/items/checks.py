"""Checks of items: required fields, schemas, and the part of all items that must have a field."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from datetime import date, time
from decimal import Decimal
from enum import Enum
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from reprlib import Repr
from typing import Any

from itemadapter import ItemAdapter

from scrapy_t8.config.parsing import load_callable
from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.text import install, one_line

from .by_class import ANY, by_class, parse_json, part_for
from .keys import fields_of

REQUIRED, SCHEMA, COVERAGE = "T8_REQUIRED_FIELDS", "T8_ITEM_SCHEMA", "T8_FIELD_COVERAGE"
MOST = 20
"""Problems of one item with its schema that are reported."""
INSTALL = install("validation")

SHOWN = Repr()
"""Shows any value, also one whose own repr fails, in a length that fits a report."""
SHOWN.maxstring = SHOWN.maxother = 120


@record_class(frozen=True, slots=True)
class Problem:
    """One problem of an item. Equal for all items of a class with the same problem, so that problems can be counted.

    :param rule: ``required``, the keyword of a JSON Schema, the error type of pydantic; ``error`` if a check failed.
    :param item: the name of its class.
    :param field: as in ``offers[].price``; empty if it is the whole item.
    :param message: contains no value of the item.
    :param value: what was found there, shortened.
    """

    rule: str
    item: str
    field: str
    message: str
    value: str = dataclasses.field(default="", compare=False)


Finding = tuple[str, str, str, str]
"""Rule, field, message and value of a problem."""
Check = Callable[[Any], Iterable[Finding]]


class ItemChecks:
    """The checks for each item, by its class: named by its import path or its bare name (``*``: any other).

    :param required: names of fields that must be filled, for every item, or by class.
    :param schemas: a schema for every item, or a dict of them by class. A schema is a JSON Schema as a dict, the path
        of a ``.json`` file with one, or a pydantic model or its import path.
    :raises ConfigError: naming the setting, for what cannot be used.
    """

    def __init__(self, required: Any, schemas: Any) -> None:
        fields, schemas = by_class(required or None, REQUIRED), by_class(schemas or None, SCHEMA)
        self._of_class: tuple[dict[str, Check], dict[str, Check]] = (
            {name: _required_check(_names(given, _of(REQUIRED, name))) for name, given in fields.items()},
            {name: _schema(schema, _of(SCHEMA, name)) for name, schema in schemas.items()},
        )
        self._known: dict[type, list[Check]] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        return any(self._of_class)

    def check(self, item: Any) -> list[Problem]:
        """Return the problems of *item*. Nothing is raised: a check that fails is a problem too."""
        cls = type(item)
        checks = self._known.get(cls)
        if checks is None:
            checks = self._known[cls] = self._checks(cls)
        found: dict[Problem, None] = {}
        for check in checks:
            try:
                found.update((Problem(rule, cls.__qualname__, *rest), None) for rule, *rest in check(item))
            except Exception as error:
                found[Problem("error", cls.__qualname__, "", f"the check failed: {SHOWN.repr(error)}")] = None
        return list(found)

    def _checks(self, cls: type) -> list[Check]:
        return [check for checks in self._of_class if (check := part_for(cls, checks)) is not None]


def _required_check(names: list[str]) -> Check:
    def check(item: Any) -> Iterator[Finding]:
        fields = dict(fields_of(item))
        for name in names:
            value = fields.get(name)
            if name not in fields:
                yield "required", name, "is missing", ""
            elif value is None or (isinstance(value, Sized) and not len(value)):
                yield "required", name, "is empty", SHOWN.repr(value)

    return check


# -- JSON Schema -------------------------------------------------------------------------------------------------


def _json_schema_check(schema: Mapping[str, Any], where: str) -> Check:
    try:
        from jsonschema.validators import Draft202012Validator, validator_for
        from jsonschema_specifications import REGISTRY
        from referencing import Resource
        from referencing.jsonschema import DRAFT202012
    except ImportError:
        raise ConfigError(f"{where} is a JSON Schema, which needs jsonschema: {INSTALL}") from None
    try:
        schema = dict(schema)
        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
        resource = Resource.from_contents(schema, default_specification=DRAFT202012)
        _look_up(resource, REGISTRY.resolver_with_root(resource))
    except Exception as error:
        raise ConfigError(f"{where} is not a JSON Schema: {one_line(getattr(error, 'message', error))}") from None
    # With this registry a reference is never fetched from the net.
    validator = kind(schema, format_checker=kind.FORMAT_CHECKER, registry=REGISTRY)

    def check(item: Any) -> Iterator[Finding]:
        for error in islice(validator.iter_errors(plain(item)), MOST):
            yield _told(error)

    return check


def _look_up(resource: Any, resolver: Any) -> None:
    """Check that every reference in a schema can be resolved."""
    reference = resource.contents.get("$ref") if isinstance(resource.contents, dict) else None
    if isinstance(reference, str):
        resolver.lookup(reference)
    for part in resource.subresources():
        _look_up(part, resolver.in_subresource(part))


def _told(error: Any) -> Finding:
    """Return an error of jsonschema without the value: with it, no two items would have the same problem."""
    where, keyword = list(error.absolute_path), str(error.validator)
    if keyword == "required":
        missing = next((n for n in error.validator_value if error.message.startswith(f"{n!r} is")), "")
        return keyword, _path([*where, missing]), "is missing", ""
    if keyword in ("additionalProperties", "unevaluatedProperties", "dependentRequired"):
        return keyword, _path(where), one_line(error.message, 200), ""
    asked = one_line(json.dumps(error.validator_value, ensure_ascii=False, default=str), 120)
    message = "the schema allows nothing here" if error.validator is None else f"the schema asks for {keyword} {asked}"
    return keyword, _path(where), message, SHOWN.repr(error.instance)


def plain(value: Any) -> Any:
    """Return *value* in JSON types: times in ISO 8601, a Decimal as a number, anything else as text."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, (Real, Decimal)):
        return float(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if isinstance(value, Mapping) or ItemAdapter.is_item(value):
        return {str(name): plain(part) for name, part in fields_of(value)}
    return str(value)


# -- pydantic ----------------------------------------------------------------------------------------------------


def _model_check(given: Any, where: str) -> Check:
    model = load_callable(where, given)
    try:
        from pydantic import BaseModel, ValidationError
    except ImportError:
        raise ConfigError(f"{where} is {given!r}, which needs pydantic: {INSTALL}") from None
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigError(f"{where} is {given!r}, which is not a pydantic model")

    def check(item: Any) -> Iterator[Finding]:
        try:
            # An instance would not be checked, and the model may have aliases for the names of its fields.
            model.model_validate(ItemAdapter(item).asdict(), by_alias=True, by_name=True)
        except ValidationError as error:
            for problem in islice(error.errors(include_url=False, include_context=False), MOST):
                value = "" if problem["type"] == "missing" else SHOWN.repr(problem["input"])
                yield problem["type"], _path(problem["loc"]), one_line(problem["msg"], 200), value

    return check


def _path(parts: Iterable[Any]) -> str:
    """Return the place in an item, without the numbers in lists."""
    return "".join("[]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


# -- the settings ------------------------------------------------------------------------------------------------


def _of(setting: str, name: str) -> str:
    return setting if name == ANY else f"{setting}[{name!r}]"


def _names(value: Any, where: str) -> list[str]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(n, str) and n for n in names):
        raise ConfigError(f"{where} is {value!r}, but must be a list of names of fields, or a dict of lists by class")
    return list(names)


def _schema(value: Any, where: str) -> Check:
    if isinstance(value, Mapping):
        return _json_schema_check(value, where)
    if isinstance(value, Path) or (isinstance(value, str) and value.endswith(".json")):
        return _json_schema_check(_read(value, where), f"{where}: {value}")
    if isinstance(value, (str, type)):
        return _model_check(value, where)
    raise ConfigError(f"{where} is {value!r}, but must be a JSON Schema, a .json file with one, or a pydantic model")


def _read(path: str | Path, where: str) -> Mapping[str, Any]:
    try:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where} names {str(path)!r}, which cannot be read as JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ConfigError(f"{where} names {str(path)!r}, which does not contain a JSON object")
    return schema


# -- field coverage ----------------------------------------------------------------------------------------------


def coverage_thresholds(value: Any) -> dict[str, dict[str, float]]:
    """Return T8_FIELD_COVERAGE by class, where ``*`` stands for every class.

    :param value: ``{"field": 0.9}``, for every class, or ``{"Class": {"field": 0.9}}``, or both; its own result, too.
    :raises ConfigError: for what is no part from 0 to 1.
    """
    value = parse_json(value, COVERAGE)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{COVERAGE} is {value!r}, but must be a dict of parts from 0 to 1 by field")
    thresholds: dict[str, dict[str, float]] = {}
    for name, given in value.items():
        if isinstance(given, Mapping):
            parts = {str(of): fraction(part, f"{COVERAGE}[{name!r}][{of!r}]") for of, part in given.items()}
            thresholds.setdefault(str(name), {}).update(parts)
        else:
            thresholds.setdefault(ANY, {})[str(name)] = fraction(given, f"{COVERAGE}[{name!r}]")
    return thresholds


def fraction(value: Any, where: str) -> float:
    """Return *value* as a number from 0 to 1.

    :raises ConfigError: if it is not, naming *where* it was given.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f"{where} is {value!r}, but must be a number from 0 to 1")
    return float(value)


def coverage_problems(
    coverage: Iterable[Mapping[str, Any]], thresholds: Mapping[str, Any]
) -> Iterator[tuple[str, str, float, float]]:
    """Yield the fields that too few items of a class have: class, field, the part that has it, the part that should.

    A field that no item has is one; a class without items has none.

    :param coverage: as in the report, ``[{"item": ..., "count": ..., "fields": {name: part}}]``.
    :param thresholds: as for :func:`coverage_thresholds`.
    """
    parts = coverage_thresholds(thresholds)
    for row in coverage if parts else ():
        for name, least in _least(str(row["item"]), parts).items():
            part = float(row["fields"].get(name, 0))
            if row["count"] and part < least:
                yield str(row["item"]), name, part, least


def _least(item: str, parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the least parts for a class, which may be named with its module; they override those for every class."""
    least = dict(parts.get(ANY, {}))
    for name, fields in parts.items():
        if name == item or name.endswith(f".{item}"):
            least.update(fields)
    return least
