"""A continued feed against a model: whatever is killed and whenever, each committed row stands once."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy.exporters import CsvItemExporter
from scrapy.extensions.feedexport import FileFeedStorage

from scrapy_t8.components.feeds.appended import AppendedFeed
from scrapy_t8.components.feeds.row_encoder import RowEncoder
from scrapy_t8.components.feeds.undo_log import BegunFiles, UndoLog
from scrapy_t8.errors import FeedError
from scrapy_t8.model.items import FeedBalance


class Disk:
    """A directory with one feed in it, its undo log, and what the last commit says."""

    def __init__(self, place: Path, *, limit: int, overwrite: bool, moving: bool = False) -> None:
        self.place = place
        self.options = {"batch_item_count": limit, "overwrite": overwrite}
        self.moving = moving
        self.record: dict[str, Any] | None = None
        self.made = 0
        self.moved = 0
        """Rows of another program that were moved away, as the message says."""

    def open(self) -> AppendedFeed:
        batch = self.record["batch"] if self.record else 1
        uri = self.record["uri"] if self.record else self._uri(1)
        header = self.record["header"].encode() if self.record and self.record["header"] else None
        return AppendedFeed(
            self._slot(batch, uri),
            RowEncoder(_exporter, header, self.record and self.record["fields"]),
            UndoLog(
                self.place / "undo",
                self.record["writes"] if self.record else 0,
                files=BegunFiles(self.place / "begun", self.record["noted"] if self.record else 0),
            ),
            following=lambda slot: self._slot(slot.batch_id + 1, self._uri(slot.batch_id + 1)),
            record=self.record,
            power=False,
        )

    def commit(self, feed: AppendedFeed) -> None:
        feed.flush()
        self.record = feed.record()

    def current(self, feed: AppendedFeed) -> Path | None:
        """The file of the current batch, if there is anything of this job in it."""
        return Path(feed.record()["path"]) if feed.slot.itemcount else None

    def rows(self) -> list[list[bytes]]:
        """The rows of each batch, in the order of their names."""
        batches = sorted(self.place.glob("batch-*"), key=lambda path: int(path.suffix[1:]))
        contents = [path.read_bytes().split(b"\r\n") for path in batches]
        assert all(lines[0] == b"n" and lines[-1] == b"" for lines in contents if lines != [b""])
        return [lines[1:-1] for lines in contents]

    def _uri(self, batch: int) -> str:
        # As with a time in it: never the same name again.
        self.made += 1
        return str(self.place / (f"batch-.{self.made}" if self.moving else f"batch-.{batch}"))

    def _slot(self, batch: int, uri: str) -> Any:
        storage = FileFeedStorage(uri)
        return SimpleNamespace(
            uri=uri,
            uri_template="batch",
            batch_id=batch,
            itemcount=0,
            format="jsonlines",
            store_empty=True,
            feed_options=self.options,
            storage=storage,
        )


def _exporter(file: Any, **options: Any) -> CsvItemExporter:
    return CsvItemExporter(file, **options)


STEP = st.one_of(st.integers(1, 9), st.sampled_from(["commit", "kill", "kill in a row"]))


@given(
    steps=st.lists(STEP, max_size=40),
    limit=st.integers(0, 4),
    overwrite=st.booleans(),
    moving=st.booleans(),
    stale=st.booleans(),
)
def test_each_committed_row_stands_once(
    steps: list[Any], limit: int, overwrite: bool, moving: bool, stale: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        disk = Disk(Path(directory), limit=limit, overwrite=overwrite, moving=moving and bool(limit))
        old = 3 if stale and not disk.moving else 0
        for batch in range(1, old + 1):
            (disk.place / f"batch-.{batch}").write_bytes(b"n\r\nold\r\n")

        batches = chunks(live(disk, steps)[0], limit) or [[]]
        assert disk.record is not None
        assert disk.record["balance"]["foreign"] == 0

        if not overwrite:
            # As in plain Scrapy, what is appended begins with a header of its own.
            kept = [[b"old", b"n", *batch] if batch else [b"old"] for batch in batches[:old]]
            batches = kept + batches[old:]
        found = disk.rows()
        assert found[: len(batches)] == batches
        # Of an earlier job; emptied if this one had begun to overwrite it, and was killed before the commit.
        assert all(rows in ([b"old"], []) for rows in found[len(batches) :])
        assert len(found) <= max(len(batches), old)


@given(steps=st.lists(st.one_of(STEP, st.just("other")), max_size=40), overwrite=st.booleans())
def test_what_others_append_is_never_cut_off(steps: list[Any], overwrite: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        disk = Disk(Path(directory), limit=0, overwrite=overwrite)
        expected, others = live(disk, [1, "commit", *steps])

        (found,) = disk.rows()
        assert [row for row in found if row != b"other"] == expected
        assert found.count(b"other") + disk.moved == others


def chunks(rows: list[bytes], limit: int) -> list[list[bytes]]:
    return [rows[start : start + limit] for start in range(0, len(rows), limit)] if limit else [rows]


def live(disk: Disk, steps: list[Any]) -> tuple[list[bytes], int]:
    """Take the steps. Returns the rows that must be there in the end, and how many rows of somebody else."""
    feed = disk.open()
    committed: list[bytes] = []
    pending: list[bytes] = []
    number = others = 0
    for step in [*steps, "commit"]:
        path = disk.current(feed)
        try:
            if step == "commit":
                disk.commit(feed)
                committed, pending = committed + pending, []
            elif step == "other":
                others += append(path, b"other\r\n")
            elif step in ("kill", "kill in a row"):
                if step == "kill in a row" and pending and path and not path.read_bytes().endswith(b"other\r\n"):
                    os.truncate(path, path.stat().st_size - 1)
                feed, pending = reopen(disk), []
            else:
                numbers = range(number, number + step)
                number += step
                feed.write([feed.rows.encode({"n": n}) for n in numbers])
                pending += [str(n).encode() for n in numbers]
        except FeedError:
            feed, pending = reopen(disk), []  # stopped, because of the rows of somebody else
    feed.finish()
    return committed + pending, others


def reopen(disk: Disk) -> AppendedFeed:
    """Open the feed after a crash. Where it is refused, do what the message says, and open it again."""
    try:
        return disk.open()
    except FeedError as error:
        (length, name) = re.findall(r"truncate -s (\d+) (.+?)\)", str(error))[0]
        disk.moved += Path(name).read_bytes()[int(length) :].count(b"other\r\n")
        os.truncate(name, int(length))
        return disk.open()


def append(path: Path | None, data: bytes) -> int:
    if path is None:
        return 0
    with path.open("ab") as file:
        file.write(data)
    return 1


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path, limit=2, overwrite=False)


def write(feed: AppendedFeed, *numbers: int) -> None:
    feed.write([feed.rows.encode({"n": n}) for n in numbers])


def test_a_committed_batch_is_announced_once(disk: Disk) -> None:
    feed = disk.open()
    write(feed, 1, 2, 3)
    disk.commit(feed)
    assert feed.stored == [], "the commit that it is in has not happened yet"
    write(feed, 4, 5)
    disk.commit(feed)
    assert [slot.batch_id for slot in feed.stored] == [1]
    feed.stored = []
    feed.finish()
    assert [(slot.batch_id, slot.itemcount) for slot in feed.stored] == [(2, 2), (3, 1)]


def test_a_lower_limit_in_another_run_ends_the_batch(disk: Disk) -> None:
    disk.options["batch_item_count"] = 5
    feed = disk.open()
    write(feed, 1, 2, 3, 4)
    disk.commit(feed)
    disk.options["batch_item_count"] = 2
    write(disk.open(), 5, 6, 7)
    assert [len(rows) for rows in disk.rows()] == [4, 2, 1]


def test_a_file_that_was_emptied_begins_with_its_header(disk: Disk) -> None:
    feed = disk.open()
    write(feed, 1)
    disk.commit(feed)
    (disk.place / "batch-.1").write_bytes(b"")
    write(disk.open(), 2)
    assert disk.rows() == [[b"2"]]


@pytest.mark.parametrize("wanted", [True, False])
def test_an_empty_file_is_made_only_if_it_is_wanted(wanted: bool, disk: Disk) -> None:
    feed = disk.open()
    feed.slot.store_empty = wanted
    feed.finish()
    assert (disk.place / "batch-.1").exists() is wanted
    assert len(feed.stored) == wanted


# -- what is gone, and what others have put there --------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path) -> Disk:
    """A feed with four committed rows, in one file."""
    disk = Disk(tmp_path, limit=0, overwrite=True)
    feed = disk.open()
    write(feed, 1, 2, 3, 4)
    disk.commit(feed)
    return disk


def harmed(disk: Disk, harm: str) -> AppendedFeed:
    """The feed as the next run opens it, after somebody has changed its file."""
    path = disk.place / "batch-.1"
    content = path.read_bytes()
    {
        "nothing": lambda: None,
        "copied": lambda: (path.rename(path.with_name("old")), path.write_bytes(content)),
        "deleted": path.unlink,
        "emptied": lambda: path.write_bytes(b""),
        "cut": lambda: os.truncate(path, len(content) - 4),
        "cut to the header": lambda: os.truncate(path, 2),
        "grown": lambda: path.write_bytes(content + b"of others\r\n"),
        "changed": lambda: path.write_bytes(content[:-3] + b"9\r\n"),
        "a row taken out": lambda: (path.unlink(), path.write_bytes(b"n\r\n1\r\n2xx3\r\n4\r\n")),
    }[harm]()
    return disk.open()


@pytest.mark.parametrize(
    ("harm", "lost", "foreign", "rows"),
    [
        ("nothing", 0, 0, [b"1", b"2", b"3", b"4", b"5"]),
        ("copied", 0, 0, [b"1", b"2", b"3", b"4", b"5"]),
        ("deleted", 4, 0, [b"5"]),
        ("emptied", 4, 0, [b"5"]),
        ("cut", 2, 0, [b"1", b"2", b"5"]),
        ("cut to the header", 4, 0, [b"5"]),
        ("grown", 0, 11, [b"1", b"2", b"3", b"4", b"of others", b"5"]),
        ("changed", 4, 0, [b"1", b"2", b"3", b"9", b"n", b"5"]),
        ("a row taken out", 4, 0, [b"1", b"2xx3", b"4", b"n", b"5"]),
    ],
)
def test_what_is_gone_is_counted(
    harm: str, lost: int, foreign: int, rows: list[bytes], whole: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    feed = harmed(whole, harm)
    write(feed, 5)
    whole.commit(feed)
    feed.finish()
    assert whole.rows() == [rows]
    balance = FeedBalance.of(feed.record())
    assert (balance.lost, balance.foreign, balance.missing(5)) == (lost, foreign, lost)
    assert feed.record()["total"] == 5 - lost
    assert len(caplog.records) == bool(lost or foreign)
    # It stays counted, and is counted once.
    again = FeedBalance.of(whole.open().record())
    assert (again.lost, again.foreign) == (lost, foreign)


@pytest.mark.parametrize("overwrite", [True, False])
def test_old_rows_of_a_feed_that_begins_anew_are_nobodys(overwrite: bool, tmp_path: Path) -> None:
    """They are in the file until the first item comes, through commits and kills before that."""
    disk = Disk(tmp_path, limit=0, overwrite=overwrite)
    (tmp_path / "batch-.1").write_bytes(b"n\r\nold\r\n")
    for _ in range(2):
        disk.commit(disk.open())
    feed = disk.open()
    write(feed, 1)
    disk.commit(feed)
    feed.finish()
    assert disk.rows() == [[b"1"] if overwrite else [b"old", b"n", b"1"]]
    assert FeedBalance.of(feed.record()) == FeedBalance()


def test_items_that_are_not_taken_are_counted_when_their_page_settles(whole: Disk) -> None:
    feed = whole.open()
    row = feed.rows.encode({"n": 5})
    refused = [feed.refuse("shop.Exporter: TypeError: no"), feed.refuse("shop.Filter: KeyError: 'price'")]
    feed.write([refused[0], row, refused[1]])
    whole.commit(feed)
    assert whole.rows()[0][-1] == b"5"
    balance = FeedBalance.of(feed.record())
    assert balance.refused == {"shop.Exporter: TypeError: no": 1, "shop.Filter: KeyError: 'price'": 1}
    assert balance.missing(7) == 2


@pytest.mark.parametrize("harm", ["deleted", "cut", "changed", "notes deleted"])
def test_complete_batches_that_are_gone_are_counted(harm: str, disk: Disk) -> None:
    feed = disk.open()
    write(feed, 1, 2, 3, 4, 5)
    disk.commit(feed)
    batch = disk.place / "batch-.1"
    {
        "deleted": batch.unlink,
        "cut": lambda: os.truncate(batch, 4),
        "changed": lambda: batch.write_bytes(batch.read_bytes().replace(b"2", b"3")),
        "notes deleted": (disk.place / "begun").unlink,
    }[harm]()
    feed = disk.open()
    feed.finish()
    assert FeedBalance.of(feed.record()).missing(5) == (4 if harm == "notes deleted" else 2)


@pytest.mark.parametrize("damage", ["deleted", "a line of garbage", "cut in the middle", "of a later commit"])
def test_without_the_notes_of_writes_nobody_knows_whose_the_rows_are(damage: str, whole: Disk) -> None:
    feed = whole.open()
    write(feed, 5)
    write(feed, 6)
    log = whole.place / "undo"
    lines = log.read_bytes().splitlines(keepends=True)
    {
        "deleted": log.unlink,
        "a line of garbage": lambda: log.write_bytes(b"[" * 100_000 + b"\n" + b"[]\n17\n" + lines[-1]),
        "cut in the middle": lambda: log.write_bytes(lines[0][5:] + lines[1][5:] + lines[2]),
        "of a later commit": lambda: log.write_bytes(lines[-1]),
    }[damage]()
    with pytest.raises(FeedError, match="cut the feed back") as error:
        whole.open()
    # What the message says helps.
    (length, name) = re.findall(r"truncate -s (\d+) (.+?)\)", str(error.value))[0]
    os.truncate(name, int(length))
    feed = whole.open()
    write(feed, 5)
    whole.commit(feed)
    feed.finish()
    assert whole.rows() == [[b"1", b"2", b"3", b"4", b"5"]]
    assert FeedBalance.of(feed.record()).missing(5) == 0
