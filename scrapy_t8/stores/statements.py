"""Reads SQL statements from the files ``queries.sql``, each in the folder of the modules that execute it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from scrapy_t8.model.entry import SEQ_BITS


def load_statements(folder: Path) -> SimpleNamespace:
    """Return the statements of ``queries.sql`` in *folder* by name.

    The line ``-- name: X`` begins the statement X. ``{X}`` stands for the text of a statement above.
    """
    found = {"SEQ_BITS": str(SEQ_BITS)}
    for part in (folder / "queries.sql").read_text(encoding="utf-8").split("-- name: ")[1:]:
        name, _, text = part.partition("\n")
        if "--" in text:
            # The sqlite3 of Python 3.10 decides by the beginning of a statement what the statement does.
            text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        if "{" in text:
            for above, its_text in found.items():
                text = text.replace(f"{{{above}}}", its_text)
        found[name] = text.strip()
    return SimpleNamespace(**found)
