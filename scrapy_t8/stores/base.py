"""The store as the packages above use it: bytes in, records out. They do not depend on how it keeps them.

Every method raises :exc:`~scrapy_t8.errors.StoreError` when the state cannot be read or written. After that the store
must not be used again: the last commit is the state.
"""

from __future__ import annotations

from typing import TypeAlias

from scrapy_t8.model.dead_letter import ALL
from scrapy_t8.stores.sqlite.dead_letters import SQLiteDeadLetters
from scrapy_t8.stores.sqlite.items import SQLiteItems
from scrapy_t8.stores.sqlite.resume_points import SQLiteResumePoints
from scrapy_t8.stores.sqlite.store import IfDamaged, SQLiteStore

__all__ = ["ALL", "DeadLetterStore", "IfDamaged", "ItemStore", "ResumePointStore", "Store"]

Store: TypeAlias = SQLiteStore
DeadLetterStore: TypeAlias = SQLiteDeadLetters
ResumePointStore: TypeAlias = SQLiteResumePoints
ItemStore: TypeAlias = SQLiteItems
