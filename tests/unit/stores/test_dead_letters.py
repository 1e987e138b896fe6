"""Dead letters in the store: filters, revival, removal, and a balanced ledger after each of them."""

from __future__ import annotations

import json
import logging
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_t8.errors import StoreError
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter, LetterGroup
from scrapy_t8.model.entry import entry_id
from scrapy_t8.model.job import JobRecord, Ledger
from scrapy_t8.stores.sqlite.dead_letters import SQLiteDeadLetters
from scrapy_t8.stores.sqlite.file import connect, create
from scrapy_t8.stores.sqlite.tables import dump_job, sql

NOW = 1_000_000.0


class Bench:
    """A state file with a box, as a store has it, and a running job."""

    def __init__(self, path: Path) -> None:
        create(path)
        self.db = connect(path, power=False)
        self.box = SQLiteDeadLetters(self.db, self.guard, self.transaction, clock=lambda: NOW)
        self.job = JobRecord("job", "spider", {}, 0.0, next_seq=100, ledger=Ledger(admitted=50, done=50))

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"cannot {what}: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self.db
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise

    def bury(self, *letters: DeadLetter) -> None:
        mine = sum(letter.job == self.job.id for letter in letters)
        self.job.ledger.admitted += mine
        self.job.ledger.dead += mine
        with self.transaction() as db:
            self.box.bury(list(letters))
            db.execute(sql.PUT_JOB, (dump_job(self.job),))

    def resolve(self, *fingerprints: int) -> int:
        with self.transaction() as db:
            resolved = self.box.resolve(fingerprints, self.job)
            db.execute(sql.PUT_JOB, (dump_job(self.job),))
        return resolved

    def waiting(self) -> list[ScheduledRetry]:
        return [
            ScheduledRetry(*row) for row in self.rows("SELECT id, due, slot, payload, story FROM waiting ORDER BY id")
        ]

    def rows(self, query: str) -> list[Any]:
        return self.db.execute(query).fetchall()

    def children(self, *parents: int) -> None:
        self.db.executemany("INSERT INTO spawned VALUES (?, 1, 2, 3)", [(parent,) for parent in parents])

    def parents(self) -> list[int]:
        return [row[0] for row in self.rows("SELECT parent FROM spawned ORDER BY parent")]

    def assert_balanced(self) -> None:
        """The books, in memory and as written, agree with the tables."""
        frontier = self.rows("SELECT (SELECT count(*) FROM waiting) + (SELECT count(*) FROM entry)")[0][0]
        assert self.job.ledger.difference(frontier) == 0
        assert self.job.ledger.dead == self.box.count(LetterFilter(job=self.job.id))
        assert self.rows("SELECT count(*) FROM dead") == self.rows(
            "SELECT count(*) FROM dead JOIN dead_body USING (id)"
        )
        assert self.rows("SELECT count(*) FROM dead") == self.rows("SELECT count(*) FROM dead_body")
        for (written,) in self.rows("SELECT record FROM job"):
            assert written == dump_job(self.job)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state.db")
    yield made
    made.db.close()


def letter(seq: int = 1, **facts: Any) -> DeadLetter:
    given = {
        "entry": entry_id(3, seq),
        "payload": b"payload %d" % seq,
        "kind": "http",
        "error": "503",
        "buried_at": NOW,
        "host": "host",
        "job": "job",
    }
    return DeadLetter(**{**given, **facts})


def numbers(box: SQLiteDeadLetters, **which: Any) -> list[int]:
    return [found.id for found in box.letters(LetterFilter(**which))]


# -- looking -----------------------------------------------------------------------------------------------------


def test_a_letter_comes_back_as_it_was_buried(bench: Bench) -> None:
    whole = DeadLetter(
        entry=entry_id(7, 9),
        payload=bytes(range(256)),
        kind="callback",
        error="KeyError: '价格'",
        buried_at=NOW,
        url="https://例子.test/ü",
        host="例子.test",
        callback="parse",
        status=404,
        fingerprint=2**63 - 1,
        job="job",
        spider="spider",
        code="abc",
        task_type="DETAIL_COLLECTION",
        target="car-model-001",
        story=AttemptHistory(target="car-model-001").dumps(),
        detail='{"traceback": "…"}',
    )
    bench.bury(whole, letter(2))
    assert bench.box.letter(1) == whole._replace(id=1)
    assert bench.box.letter(2) == letter(2)._replace(id=2)
    assert bench.box.letters() == [
        whole._replace(id=1, payload=b"", story=None, detail=None),
        letter(2)._replace(id=2, payload=b""),
    ]
    assert bench.box.fingerprints() == {2**63 - 1}
    assert bench.box.letter(3) is None
    assert bench.box.letter(2**70) is None


def test_text_that_is_no_text_is_buried_all_the_same(bench: Bench) -> None:
    bench.bury(letter(error="no file caf\udce9", url="http://host/\ud800", detail='{"name": "\udce9"}'))
    found = bench.box.letter(1)
    assert found is not None
    assert found.error == "no file caf\\udce9"
    assert json.loads(found.detail or "") == {"name": "\udce9"}


def test_letters_come_in_pages(bench: Bench) -> None:
    bench.bury(*(letter(n) for n in range(1, 6)))
    assert [found.id for found in bench.box.letters(limit=2)] == [1, 2]
    assert [found.id for found in bench.box.letters(limit=2, after=2)] == [3, 4]
    assert [found.id for found in bench.box.letters(after=4)] == [5]
    assert bench.box.letters(limit=0) == []


def test_numbers_go_on(bench: Bench) -> None:
    bench.bury(letter(1), letter(2))
    bench.box.discard(LetterFilter(ids=(1,)), bench.job)
    bench.bury(letter(3))
    assert numbers(bench.box) == [2, 3]


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ({}, [1, 2, 3, 4]),
        ({"kind": "http"}, [1, 2]),
        ({"host": "b"}, [2, 3]),
        ({"host": ""}, []),
        ({"callback": "parse_item"}, [3]),
        ({"error": "timeout"}, [3]),
        ({"error": "ÜBER"}, [4]),
        ({"error": "100%_"}, [4]),
        ({"error": "' OR 1 --"}, []),
        ({"error": ""}, [1, 2, 3, 4]),
        ({"older_than": 100}, [1, 2]),
        ({"newer_than": 100}, [2, 3, 4]),
        ({"older_than": 50, "newer_than": 100}, [2]),
        ({"job": "other"}, [4]),
        ({"ids": (4, 1, 99)}, [1, 4]),
        ({"ids": ()}, []),
        ({"ids": (2**80,)}, []),
        ({"kind": "http", "host": "b"}, [2]),
        ({"status": 404}, [1]),
        ({"status": 500}, []),
        ({"task_type": "DETAIL_COLLECTION"}, [2]),
        ({"text": "CAR-"}, [2]),
        ({"text": "über"}, [3, 4]),
        ({"text": "über", "kind": "timeout"}, [3]),
        ({"text": "100%_"}, [4]),
    ],
)
def test_a_selection_of_letters(bench: Bench, which: dict[str, Any], found: list[int]) -> None:
    bench.bury(
        letter(1, host="a", buried_at=NOW - 200, status=404),
        letter(2, host="b", buried_at=NOW - 100, task_type="DETAIL_COLLECTION", target="car-1"),
        letter(3, host="b", kind="timeout", error="TimeOut after 5 s", callback="parse_item", url="http://ÜBER/"),
        letter(4, host="c", kind="callback", error="über 100%_", job="other"),
    )
    assert numbers(bench.box, **which) == found
    assert bench.box.count(LetterFilter(**which)) == len(found)
    assert sum(group.count for group in bench.box.groups(LetterFilter(**which))) == len(found)
    assert bench.box.discard(LetterFilter(**which), bench.job) == len(found)
    assert set(numbers(bench.box)) == {1, 2, 3, 4} - set(found)
    bench.assert_balanced()


def test_groups_are_by_cause(bench: Bench) -> None:
    bench.bury(
        letter(1, callback="parse", buried_at=5.0),
        letter(2, callback="parse", host="other"),
        letter(3, callback="parse", buried_at=3.0),
        letter(4, callback="parse", buried_at=4.0),
    )
    assert bench.box.groups() == [
        LetterGroup("http", "503", "host", "parse", 3, 3.0, 5.0, 4),
        LetterGroup("http", "503", "other", "parse", 1, NOW, NOW, 2),
    ]
    assert bench.box.groups(LetterFilter(host="none")) == []


# -- reviving ----------------------------------------------------------------------------------------------------


def test_a_revived_letter_waits_under_its_old_id_with_fresh_attempts(bench: Bench) -> None:
    story = AttemptHistory(delivered=[2**63 - 1, 5], task_type="DETAIL", target="车型", max_retries=3)
    story.add(1.0, "http", "503", charged=True)
    bench.bury(letter(7, story=story.dumps()), letter(8))
    bench.children(entry_id(3, 7), entry_id(3, 8))
    bench.job.finished = True
    assert bench.box.revive(LetterFilter(ids=(1,)), bench.job, NOW) == 1
    (found,) = bench.waiting()
    assert (found.id, found.due, found.slot, found.payload) == (entry_id(3, 7), NOW, "host", b"payload 7")
    assert AttemptHistory.loads(found.story) == AttemptHistory(
        delivered=[2**63 - 1, 5], task_type="DETAIL", target="车型"
    )
    assert bench.parents() == [entry_id(3, 7), entry_id(3, 8)]
    assert numbers(bench.box) == [2]
    assert (bench.job.finished, bench.job.next_seq) == (False, 100)
    assert bench.job.ledger == Ledger(admitted=52, done=50, dead=1)
    bench.assert_balanced()


def test_a_letter_without_attempts_gets_a_history(bench: Bench) -> None:
    bench.bury(letter(1, task_type="IMAGE_DOWNLOAD", target="t"))
    bench.box.revive(LetterFilter(), bench.job, NOW)
    assert AttemptHistory.loads(bench.waiting()[0].story) == AttemptHistory(task_type="IMAGE_DOWNLOAD", target="t")


def test_a_letter_of_another_job_is_admitted_under_a_new_id(bench: Bench) -> None:
    bench.bury(letter(1, job="other"), letter(2, job=""), letter(3))
    assert bench.box.revive(LetterFilter(), bench.job, NOW) == 3
    assert [w.id for w in bench.waiting()] == [100, 101, entry_id(3, 3)]
    assert bench.job.next_seq == 102
    assert bench.job.ledger == Ledger(admitted=53, done=50)
    bench.assert_balanced()


def test_an_id_that_is_taken_is_not_used_again(bench: Bench) -> None:
    ids = [entry_id(3, n) for n in (1, 2, 3)]
    bench.db.execute("INSERT INTO entry (id, payload) VALUES (?, x'')", (ids[0],))
    bench.db.execute("INSERT INTO waiting VALUES (?, 1.0, 'host', x'', '{}')", (ids[1],))
    bench.job.ledger.admitted += 2
    bench.bury(letter(1), letter(2), letter(3, payload=b"first"), letter(3, payload=b"second"))
    assert bench.box.revive(LetterFilter(), bench.job, NOW) == 4
    waiting = {w.id: w.payload for w in bench.waiting()}
    assert waiting == {ids[1]: b"", ids[2]: b"first", 100: b"payload 1", 101: b"payload 2", 102: b"second"}
    assert bench.job.next_seq == 103
    bench.assert_balanced()


def test_a_letter_without_a_request_stays(bench: Bench) -> None:
    bench.bury(letter(1, payload=b""), letter(2))
    assert bench.box.revive(LetterFilter(), bench.job, NOW) == 1
    assert numbers(bench.box) == [1]
    bench.assert_balanced()
    bench.job.finished = True
    assert bench.box.revive(LetterFilter(), bench.job, NOW) == 0
    assert bench.job.finished


def test_reviving_nothing_changes_nothing(bench: Bench) -> None:
    bench.bury(letter(1))
    bench.job.finished = True
    before = replace(bench.job, ledger=replace(bench.job.ledger))
    assert bench.box.revive(LetterFilter(kind="none"), bench.job, NOW) == 0
    assert bench.job == before
    assert bench.waiting() == []


# -- throwing away -----------------------------------------------------------------------------------------------


def test_a_discarded_letter_is_discarded_in_the_books_of_its_own_job_only(bench: Bench) -> None:
    bench.bury(letter(1), letter(2, job="other"), letter(3))
    bench.children(entry_id(3, 1), entry_id(3, 2), entry_id(3, 3))
    assert bench.box.discard(LetterFilter(ids=(1, 2)), bench.job) == 2
    assert bench.job.ledger == Ledger(admitted=52, done=50, dead=1, discarded=1)
    assert bench.parents() == [entry_id(3, 2), entry_id(3, 3)]
    bench.assert_balanced()


def test_children_of_what_is_still_there_are_remembered(bench: Bench) -> None:
    ids = [entry_id(3, n) for n in (1, 2, 3, 4)]
    bench.children(*ids)
    bench.bury(*(letter(n) for n in (1, 2, 3, 3, 4)))
    bench.db.execute("INSERT INTO entry (id, payload) VALUES (?, x'')", (ids[0],))
    bench.db.execute("INSERT INTO waiting VALUES (?, 1.0, 'host', x'', '{}')", (ids[1],))
    bench.job.ledger.admitted += 2
    assert bench.box.discard(LetterFilter(ids=(1, 2, 3, 5)), bench.job) == 4
    assert bench.parents() == ids[:3]
    assert bench.box.discard(LetterFilter(), bench.job) == 1
    assert bench.parents() == ids[:2]
    bench.assert_balanced()


def test_what_is_old_is_pruned_and_then_the_oldest(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    ages = [500, 50, 400, 30, 20, 40]
    bench.bury(*(letter(n, buried_at=NOW - age, kind=f"kind{n % 2}") for n, age in enumerate(ages, 1)))
    bench.children(*(entry_id(3, n) for n in range(1, 7)))
    with caplog.at_level(logging.INFO):
        assert bench.box.prune(bench.job, NOW, ttl=300, limit=2) == (2, 2)
    assert numbers(bench.box) == [4, 5]
    assert bench.job.ledger == Ledger(admitted=56, done=50, dead=2, discarded=4)
    assert bench.parents() == [entry_id(3, 4), entry_id(3, 5)]
    assert [(r.name, r.getMessage()) for r in caplog.records] == [
        (
            "scrapy_t8.stores.sqlite.dead_letters",
            "Dead letters pruned: 2 older than 0.00347 days, 2 of the oldest beyond 2 (2 kind1, 2 kind0)",
        )
    ]
    bench.assert_balanced()


def test_the_limit_deletes_no_letter_of_the_job_that_is_kept(bench: Bench) -> None:
    bench.bury(*(letter(n, buried_at=NOW - n, job="other") for n in (1, 2, 3)), letter(4, buried_at=NOW - 99))
    bench.bury(letter(5, buried_at=NOW - 98))
    assert bench.box.prune(bench.job, NOW, ttl=float("inf"), limit=3, keep=bench.job.id) == (0, 2)
    assert numbers(bench.box) == [1, 4, 5]
    assert bench.box.prune(bench.job, NOW, ttl=float("inf"), limit=1, keep=bench.job.id) == (0, 1)
    assert numbers(bench.box) == [4, 5]
    assert bench.box.prune(bench.job, NOW, ttl=98.5, limit=1, keep=bench.job.id) == (1, 0)
    assert numbers(bench.box) == [5]
    bench.bury(letter(6, job=""), letter(7, job=""))
    assert bench.box.prune(bench.job, NOW, ttl=float("inf"), limit=1)[1] == 2
    bench.assert_balanced()


def test_letters_that_leave_the_box_have_a_cause(bench: Bench) -> None:
    bench.bury(letter(1, kind="http", status=404), letter(2, kind="parse"), letter(3, job="other"))
    assert bench.box.prune(bench.job, NOW, ttl=float("inf"), limit=0) == (0, 3)
    bench.bury(letter(4), letter(5, fingerprint=55))
    with bench.transaction():
        bench.box.resolve([55], bench.job)
    bench.box.discard(LetterFilter(), bench.job)
    causes = dict(bench.db.execute("SELECT name, count FROM tally WHERE what = 'cause'"))
    assert causes == {"status:404": 1, "failure:parse": 1, "resolved": 1, "discarded": 1}
    assert bench.job.ledger.discarded == sum(causes.values())


def test_pruning_nothing_is_silent(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.bury(letter(1))
    with caplog.at_level(logging.DEBUG):
        assert bench.box.prune(bench.job, NOW, ttl=float("inf"), limit=1) == (0, 0)
    assert caplog.records == []
    assert numbers(bench.box) == [1]


def test_what_has_succeeded_is_resolved(bench: Bench) -> None:
    bench.bury(letter(1, fingerprint=5), letter(2, fingerprint=5, job="other"), letter(3, fingerprint=6), letter(4))
    bench.children(entry_id(3, 1), entry_id(3, 2), entry_id(3, 3))
    assert bench.resolve() == 0
    assert bench.resolve(7, 2**63 - 1) == 0
    assert bench.resolve(5, 7) == 2
    assert numbers(bench.box) == [3, 4]
    assert bench.job.ledger == Ledger(admitted=53, done=50, dead=2, discarded=1)
    assert bench.parents() == [entry_id(3, 2), entry_id(3, 3)]
    bench.assert_balanced()


# -- all or nothing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["revive", "discard", "prune"])
def test_a_change_that_fails_is_none(bench: Bench, change: str) -> None:
    bench.bury(letter(1), letter(2, job="other"))
    bench.job.finished = True
    before = replace(bench.job, ledger=replace(bench.job.ledger))
    ledger = bench.job.ledger
    bench.db.execute("CREATE TRIGGER no BEFORE INSERT ON job BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    changes: dict[str, Any] = {
        "revive": lambda: bench.box.revive(LetterFilter(), bench.job, NOW),
        "discard": lambda: bench.box.discard(LetterFilter(), bench.job),
        "prune": lambda: bench.box.prune(bench.job, NOW, ttl=0, limit=0),
    }
    with pytest.raises(StoreError, match="the disk is full"):
        changes[change]()
    assert bench.job == before
    assert bench.job.ledger is ledger
    assert (numbers(bench.box), bench.waiting()) == ([1, 2], [])
    bench.db.execute("DROP TRIGGER no")
    changes[change]()
    assert numbers(bench.box) == []
    bench.assert_balanced()


def test_a_box_can_be_changed_while_it_is_read(bench: Bench) -> None:
    bench.bury(*(letter(n) for n in range(1, 50)))
    reading = bench.db.execute("SELECT id FROM dead")
    reading.fetchone()
    assert bench.box.discard(LetterFilter(ids=(1, 2)), bench.job) == 2
    assert bench.box.revive(LetterFilter(), bench.job, NOW) == 47
    reading.close()
    bench.assert_balanced()


LETTERS = st.builds(
    letter,
    st.integers(1, 5),
    payload=st.sampled_from([b"", b"payload"]),
    kind=st.sampled_from(["http", "timeout"]),
    buried_at=st.floats(NOW - 10, NOW),
    fingerprint=st.none() | st.integers(1, 3),
    job=st.sampled_from(["job", "other"]),
)
WHICH = st.builds(
    lambda **which: LetterFilter(**which),
    kind=st.none() | st.sampled_from(["http", "timeout"]),
    older_than=st.none() | st.integers(0, 10),
    job=st.none() | st.sampled_from(["job", "other"]),
    ids=st.none() | st.lists(st.integers(1, 9)).map(tuple),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("bury"), st.lists(LETTERS, max_size=5)),
        st.tuples(st.just("revive"), WHICH),
        st.tuples(st.just("discard"), WHICH),
        st.tuples(st.just("prune"), st.tuples(st.integers(0, 10), st.integers(0, 5))),
        st.tuples(st.just("resolve"), st.lists(st.integers(1, 3), max_size=3)),
    ),
    max_size=12,
)


@given(STEPS)
def test_the_ledger_balances_whatever_is_done(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory, "state.db"))
        for step, value in steps:
            before, waiting = bench.box.count(), len(bench.waiting())
            left = 0
            if step == "bury":
                bench.bury(*value)
                left = -len(value)
            elif step == "revive":
                left = bench.box.revive(value, bench.job, NOW)
                assert len(bench.waiting()) == waiting + left
            elif step == "discard":
                left = bench.box.discard(value, bench.job)
                assert bench.box.count(value) == 0
            elif step == "prune":
                ttl, limit = value
                left = sum(bench.box.prune(bench.job, NOW, ttl=ttl, limit=limit))
                assert bench.box.count() <= limit
            else:
                left = bench.resolve(*value)
                assert not bench.box.fingerprints() & set(value)
            assert bench.box.count() == before - left
            bench.assert_balanced()
        bench.db.close()
