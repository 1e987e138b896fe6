"""The records in the files of each format, to be compared without their order."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import marshal
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


def records(path: Path) -> Counter[str]:
    """How often each record stands in a file.

    Fails for one that is not whole.
    """
    read = READERS.get(path.suffix, _lines)
    return Counter(map(repr, read(path.read_bytes())))


def head(path: Path) -> bytes:
    """The first line: a CSV header, with its byte order mark."""
    return path.read_bytes().partition(b"\n")[0]


def _lines(data: bytes) -> list[bytes]:
    assert not data or data.endswith(b"\n"), f"a torn tail: {data[-80:]!r}"
    return data.splitlines()


def _wide(data: bytes) -> list[str]:
    return _lines(data) if b"\x00" not in data else data.decode("utf-16").splitlines()


def _json(data: bytes) -> Iterator[Any]:
    """Arrays one after another, as ``-o`` leaves them."""
    text, decoder = data.decode(), json.JSONDecoder()
    while text:
        array, end = decoder.raw_decode(text)
        yield from array
        text = text[end:]


def _xml(data: bytes) -> list[str]:
    return [ElementTree.tostring(item, encoding="unicode").rstrip() for item in ElementTree.fromstring(data)]


def _loaded(load: Callable[[Any], Any]) -> Callable[[bytes], Iterator[Any]]:
    def read(data: bytes) -> Iterator[Any]:
        file = io.BytesIO(data)
        while file.tell() < len(data):
            yield load(file)

    return read


READERS: dict[str, Callable[[bytes], Any]] = {
    ".json": _json,
    ".xml": _xml,
    ".pickle": _loaded(pickle.load),
    ".marshal": _loaded(marshal.load),
    ".gz": lambda data: _lines(gzip.decompress(data)),
    ".xz": lambda data: _lines(lzma.decompress(data)),
    ".csv": _wide,
}
