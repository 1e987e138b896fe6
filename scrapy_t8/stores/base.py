"""The store as the packages above use it: bytes in, records out. They do not depend on how it keeps them.

Every method raises :exc:`~scrapy_t8.errors.StoreError` when the state cannot be read or written. After that the store
must not be used again: the last commit is the state.
"""

from __future__ import annotations

from scrapy_t8.model.dead_letter import ALL
from scrapy_t8.stores.sqlite.dead_letters import SQLiteDeadLetters as DeadLetterStore
from scrapy_t8.stores.sqlite.items import SQLiteItems as ItemStore
from scrapy_t8.stores.sqlite.resume_points import SQLiteResumePoints as ResumePointStore
from scrapy_t8.stores.sqlite.store import IfDamaged
from scrapy_t8.stores.sqlite.store import SQLiteStore as Store

__all__ = ["ALL", "DeadLetterStore", "IfDamaged", "ItemStore", "ResumePointStore", "Store"]
