"""Dead letters as JSON, and back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from scrapy_t8.errors import FormatError
from scrapy_t8.model.dead_letter import DeadLetter
from scrapy_t8.model.json_document import Document
from scrapy_t8.utils.times import isoformat, moment

TEXTS = ("kind", "error", "url", "host", "callback", "job", "spider", "code", "task_type", "target")
NUMBERS = ("status", "fingerprint")
BODIES = ("story", "detail")


def from_letter(letter: DeadLetter) -> dict[str, Any]:
    """Return all of *letter*, which was read whole, as a JSON object. ``payload`` is its request as it is stored."""
    fields = {name: getattr(letter, name) for name in ("entry", *TEXTS, *NUMBERS, *BODIES)}
    payload = base64.b64encode(letter.payload).decode()
    return {**fields, "buried_at": isoformat(moment(letter.buried_at)), "payload": payload}


def to_letter(document: Mapping[str, Any]) -> DeadLetter:
    """Return the letter of a JSON object.

    :raises FormatError: naming the field that is missing, or is not what it should be.
    """
    given = Document("DeadLetter", document)
    try:
        payload = base64.b64decode(given.typed("payload", str), validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("payload: base64 is needed", "payload") from None
    return DeadLetter(
        entry=given.typed("entry", int),
        payload=payload,
        buried_at=given.time("buried_at").timestamp(),
        **{name: given.typed(name, str) for name in TEXTS},
        **{name: given.optional(name, int) for name in NUMBERS},
        **{name: given.optional(name, str) for name in BODIES},
    )
