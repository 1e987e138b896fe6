"""No test may fail because a machine is slow: tests measure no time, and wait with a generous hang guard."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

Node = TypeVar("Node", bound=ast.expr | ast.stmt)

TESTS = Path(__file__).parents[1]
CLOCKS = {"monotonic", "perf_counter", "process_time", "time"}
WAITS = {"check_call", "check_output", "communicate", "join", "run", "wait", "wait_for"}
"""Functions whose limit is a hang guard."""
LEAST = 120
"""Seconds of a hang guard."""


def nodes(kind: type[Node]) -> Iterator[tuple[str, Node]]:
    """Yield the nodes of a kind in all tests, with their places."""
    for path in sorted(TESTS.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if any(word in text for word in (*CLOCKS, *WAITS)) else ():
            if isinstance(node, kind):
                yield f"{path.relative_to(TESTS)}:{node.lineno}", node


def reads_a_clock(node: ast.AST) -> bool:
    calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return any(
        isinstance(call, ast.Attribute)
        and call.attr in CLOCKS
        and isinstance(call.value, ast.Name)
        and call.value.id == "time"
        for call in calls
    )


def is_upper_bound(node: ast.AST) -> bool:
    """Return whether a comparison asks for something to have taken no longer than so much."""
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
        if isinstance(operator, ast.Lt | ast.LtE) and reads_a_clock(left):
            return True
        if isinstance(operator, ast.Gt | ast.GtE) and reads_a_clock(right):
            return True
    return False


def test_nothing_has_to_be_done_within_some_time() -> None:
    bounds = [place for place, node in nodes(ast.Assert) if any(is_upper_bound(each) for each in ast.walk(node))]
    assert not bounds


def limits(call: ast.Call) -> Iterator[float]:
    """Yield the seconds that a call waits at the most, where they stand there as a number."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in WAITS:
        return
    given = [word.value for word in call.keywords if word.arg == "timeout"]
    for value in [*call.args, *given]:
        if isinstance(value, ast.Constant) and isinstance(value.value, int | float):
            yield value.value


def test_who_waits_has_a_generous_limit() -> None:
    tight = [place for place, node in nodes(ast.Call) if any(limit < LEAST for limit in limits(node))]
    assert not tight
