"""Feeds with every option there is, which one crawl writes, and the files that are there before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FIELDS = ["tags", "id", "missing"]
RENAMED = {"id": "Nr", "name": "Name"}
BATCH = 7

CONTINUED: dict[str, dict[str, Any]] = {
    "plain.jsonl": {"format": "jsonlines"},
    "plain.csv": {"format": "csv"},
    "over.jsonl": {"format": "jsonl", "overwrite": True},
    "over.csv": {"format": "csv", "overwrite": True},
    "old.jsonl": {"format": "jsonlines", "overwrite": False},
    "old.csv": {"format": "csv"},
    "fields.jsonl": {"format": "jsonlines", "fields": FIELDS},
    "fields.csv": {"format": "csv", "fields": FIELDS},
    "renamed.jsonl": {"format": "jsonlines", "fields": RENAMED},
    "renamed.csv": {"format": "csv", "fields": RENAMED},
    "data.jsonl": {"format": "jsonlines", "item_classes": ["feed_parts.BookData", "feed_parts.BookItem"]},
    "cheap.csv": {"format": "csv", "item_filter": "feed_parts.Cheap", "limit": 9},
    "%(place)s.jsonl": {"format": "jsonlines", "uri_params": "feed_parts.by_shard"},
    "%(name)s-%(shard)s.csv": {"format": "csv"},
    "kwargs.jsonl": {"format": "jsonlines", "item_export_kwargs": {"sort_keys": True}},
    "kwargs.csv": {"format": "csv", "item_export_kwargs": {"delimiter": ";", "join_multivalued": "|", "quoting": 1}},
    "headless.csv": {"format": "csv", "item_export_kwargs": {"include_headers_line": False}},
    "latin.csv": {"format": "csv", "encoding": "latin-1", "item_export_kwargs": {"errors": "replace"}},
    "utf8.jsonl": {"format": "jsonlines", "encoding": "utf-8"},
    "bom.csv": {"format": "csv", "encoding": "utf-8-sig"},
    "old-bom.csv": {"format": "csv", "encoding": "utf-8-sig"},
    "utf16.csv": {"format": "csv", "encoding": "utf-16"},
    "none.jsonl": {"format": "jsonlines", "item_filter": "feed_parts.Nothing", "store_empty": True},
    "none.csv": {"format": "csv", "item_filter": "feed_parts.Nothing"},
    "not.csv": {"format": "csv", "item_filter": "feed_parts.Nothing", "store_empty": False},
    "own.num": {"format": "numbered", "item_export_kwargs": {"prefix": "# "}},
    "own.titled": {"format": "titled"},
    "link.jsonl": {"format": "jsonlines"},
    "private.jsonl": {"format": "jsonlines", "overwrite": True},
    "deep/down/%(name)s.jsonl": {"format": "jsonlines"},
    "seven-%(batch_id)d.jsonl": {"format": "jsonlines", "batch_item_count": BATCH},
    "seven-%(batch_id)02d.csv": {"format": "csv", "batch_item_count": BATCH, "encoding": "utf-8-sig"},
    "one/%(batch_id)d.jsonl": {"format": "jsonlines", "batch_item_count": 1},
    "at-%(batch_time)s.jsonl": {"format": "jsonlines", "batch_item_count": BATCH, "overwrite": True},
}
WHOLE: dict[str, dict[str, Any]] = {
    "plain.json": {"format": "json", "indent": 2},
    "plain.xml": {"format": "xml", "indent": 1},
    "plain.pickle": {"format": "pickle"},
    "plain.marshal": {"format": "marshal"},
    "over.json": {"format": "json", "overwrite": True},
    "old.json": {"format": "json"},
    "fields.json": {"format": "json", "fields": RENAMED, "encoding": "utf-8"},
    "kwargs.xml": {"format": "xml", "item_export_kwargs": {"item_element": "book", "root_element": "shop"}},
    "data.json": {"format": "json", "item_classes": ["feed_parts.BookData", "feed_parts.BookItem"]},
    "cheap.json": {"format": "json", "item_filter": "feed_parts.Cheap", "limit": 9},
    "none.json": {"format": "json", "item_filter": "feed_parts.Nothing"},
    "not.json": {"format": "json", "item_filter": "feed_parts.Nothing", "store_empty": False},
    "packed.jsonl.gz": {
        "format": "jsonlines",
        "postprocessing": ["scrapy.extensions.postprocessing.GzipPlugin"],
        "gzip_mtime": 0,
    },
    "packed.csv.xz": {"format": "csv", "postprocessing": ["scrapy.extensions.postprocessing.LZMAPlugin"]},
    "own.framed": {"format": "framed"},
    "link.json": {"format": "json"},
    "private.json": {"format": "json", "overwrite": True},
    "seven-%(batch_id)d.json": {"format": "json", "batch_item_count": BATCH},
    "at-%(batch_time)s.xml": {"format": "xml", "batch_item_count": BATCH},
    "remote://remote.jsonl": {"format": "jsonlines"},
    "remote://seven-%(batch_id)d.csv": {"format": "csv", "batch_item_count": BATCH},
}
FEEDS = {**CONTINUED, **WHOLE}


def put_old_files(directory: Path) -> None:
    """Put into a directory what is there before the first crawl."""
    for name in ("over.jsonl", "over.csv", "over.json", "old.csv", "old-bom.csv"):
        (directory / name).write_text("id,left\r\n0,over\r\n")
    (directory / "old.jsonl").write_text('{"id": "old"}\n')
    (directory / "old.json").write_text('[\n{"id": "old"}\n]')
    (directory / "elsewhere").mkdir()
    for name in ("link.jsonl", "link.json"):
        (directory / name).symlink_to(f"elsewhere/{name}")
    for name in ("private.jsonl", "private.json"):
        (directory / name).write_text("old\n")
        (directory / name).chmod(0o600)
