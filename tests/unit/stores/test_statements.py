"""The SQL statements in files of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import scrapy_t8
from scrapy_t8.stores.reader.backlog import ask as ask_reader
from scrapy_t8.stores.shared.store import ask as ask_tasks
from scrapy_t8.stores.sqlite.tables import sql
from scrapy_t8.stores.statements import load_statements

STORES = Path(scrapy_t8.__file__).parent / "stores"


@pytest.mark.parametrize("name", ["sqlite", "reader", "shared"])
def test_the_code_names_the_statements_that_are_there(name: str) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in STORES.rglob("*.py"))
    own = "\n".join(path.read_text(encoding="utf-8") for path in (STORES / name).glob("*.py"))
    text = (STORES / name / "queries.sql").read_text(encoding="utf-8")
    there = vars(load_statements(STORES / name))
    used = re.findall(r"\bsql\.([A-Z_]+)", code) if name == "sqlite" else re.findall(r"\bask\.([A-Z_]+)", own)
    assert set(used) <= set(there)
    assert set(there) - set(used) - {"SEQ_BITS"} <= set(re.findall(r"\{([A-Z_]+)\}", text))


def test_a_statement_has_no_comment_and_no_open_name() -> None:
    for statements in (sql, ask_reader, ask_tasks):
        for text in vars(statements).values():
            assert "--" not in text
            assert not re.search(r"\{[A-Z]", text)


def test_a_name_stands_for_a_statement_above(tmp_path: Path) -> None:
    (tmp_path / "queries.sql").write_text(
        "-- name: A\n-- why\n1 << {SEQ_BITS}\n\n-- name: B\nSELECT {A} WHERE {where}\n"
    )
    assert load_statements(tmp_path).B == "SELECT 1 << 38 WHERE {where}"
