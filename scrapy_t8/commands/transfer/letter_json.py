"""Dead letters as JSON, and back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from scrapy_t8.errors import FormatError
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.json_document import READERS, Document
from scrapy_t8.utils.times import isoformat, moment

TYPES = {field.name: str(field.type) for field in fields(DeadLetter) if field.name != "id"}
"""What is written and read. The store gives each letter an id of its own."""


def from_letter(letter: DeadLetter) -> dict[str, Any]:
    """Return all of *letter*, which was read whole, as a JSON object. ``payload`` is its request as it is stored."""
    payload = base64.b64encode(letter.payload).decode()
    written = {"buried_at": isoformat(moment(letter.buried_at)), "payload": payload}
    return {name: getattr(letter, name) for name in TYPES} | written


def to_letter(document: Mapping[str, Any]) -> DeadLetter:
    """Return the letter of a JSON object.

    :raises FormatError: naming the field that is missing, or is not what it should be.
    """
    given = Document("DeadLetter", document)
    others = {name: READERS[kind](given, name) for name, kind in TYPES.items() if name not in ("buried_at", "payload")}
    try:
        payload = base64.b64decode(given.typed("payload", str), validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("payload: base64 is needed", "payload") from None
    return DeadLetter(**others, payload=payload, buried_at=given.time("buried_at").timestamp())
