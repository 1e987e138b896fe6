"""Pipelines that keep rows are seen; those that wait for their batch are not."""

from __future__ import annotations

import queue
from collections import deque
from typing import Any

import pytest

from scrapy_t8.pipelines.buffers import Buffer, Buffers


class Keeps:
    """A pipeline with one attribute."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows


def put(pipeline: Keeps, count: int) -> None:
    add = pipeline.rows.put if isinstance(pipeline.rows, queue.Queue) else pipeline.rows.append
    for number in range(count):
        add((number,))


@pytest.mark.parametrize(
    "rows", [[], ["heading"], deque(), queue.Queue()], ids=["list", "headed-list", "deque", "queue"]
)
def test_what_is_kept_is_named_once(rows: Any) -> None:
    buffers = Buffers([Keeps(set()), keeps := Keeps(rows)])
    assert buffers.overfull(0) == []
    put(keeps, 3)
    assert buffers.overfull(3) == []
    length = rows.qsize() if isinstance(rows, queue.Queue) else len(rows)
    assert buffers.overfull(2) == [Buffer(f"{__name__}.Keeps", "rows", length)]
    assert buffers.overfull(2) == []


def test_a_batch_that_is_waited_for() -> None:
    buffers = Buffers([keeps := Keeps([])])
    for size in (1, 5, 9, 3):
        keeps.rows = []
        put(keeps, size)
        assert buffers.overfull(size) == []


def test_a_buffer_that_was_full_at_the_first_look() -> None:
    buffers = Buffers([keeps := Keeps([1, 2, 3])])
    assert buffers.overfull(0) == []
    keeps.rows = []
    assert buffers.overfull(0) == []
    put(keeps, 1)
    assert [found.length for found in buffers.overfull(0)] == [1]


def test_what_is_no_buffer() -> None:
    buffers = Buffers([keeps := Keeps({"a"}), other := Keeps({"k": 1})])
    keeps.rows, other.rows = {"a", "b", "c"}, dict.fromkeys(range(9))
    assert buffers.overfull(0) == []
