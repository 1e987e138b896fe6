"""Dead letters for people: choose, revive, discard, export, while no crawl runs or beside one."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from scrapy import FormRequest, Request, Spider

from scrapy_t8.core.offline.dead_letters import DeadLetters, open_dead_letters, plain
from scrapy_t8.errors import JobError, JobLocked
from scrapy_t8.model.attempts import AttemptHistory, ScheduledRetry
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.dead_letter import DeadLetter, LetterFilter
from scrapy_t8.model.entry import entry_id
from scrapy_t8.model.failed_task import request_task_id
from scrapy_t8.model.job import JobRecord, Ledger
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.times import moment
from tests.support.item_classes import PlainItem, Point


class CarSpider(Spider):
    name = "cars"

    def parse_car(self, response: Any) -> None:
        pass


CODEC = Codec(CarSpider())


def payload(url: str, **more: Any) -> bytes:
    spider: Any = CODEC._spider
    return CODEC.encode_request(Request(url, callback=spider.parse_car, **more))


def letter(seq: int, **facts: Any) -> DeadLetter:
    url = f"http://host/{seq}"
    given = {"entry": entry_id(1, seq), "payload": payload(url), "kind": "http", "error": "503", "buried_at": 9.0}
    return DeadLetter(**{**given, "url": url, "host": "host", "job": "job", **facts})


@pytest.fixture
def jobdir(tmp_path: Path) -> Path:
    """A job with two letters of its own, one of an older job, and an entry that waits."""
    story = AttemptHistory(task_type="DETAIL_COLLECTION", target="车型-1", max_retries=3)
    story.add(5.0, "timeout", "API请求超时", charged=True)
    store = SQLiteStore(tmp_path / "t8")
    store.open()
    job = JobRecord("job", "cars", {}, 1.0, True, True, 9, Ledger(admitted=3, dead=2))
    store.begin_job(job)
    store.begin_run(2.0, 5)
    buried = [
        letter(1, story=story.dumps(), detail='{"traceback": "跟踪"}', status=503, fingerprint=7),
        letter(2, kind="callback", error="KeyError"),
        letter(3, job="old"),
    ]
    waiting = ScheduledRetry(entry_id(1, 4), 50.0, "host", payload("http://host/4"), story.dumps())
    store.commit(CommitBatch(buried=buried, waiting=[waiting]), job, 3.0)
    store.end_run(4.0, "finished", job)
    store.close()
    return tmp_path


def test_letters_are_listed_counted_and_grouped(jobdir: Path) -> None:
    with open_dead_letters(jobdir) as letters:
        assert [found.id for found in letters.list()] == [1, 2, 3]
        assert [found.id for found in letters.list(LetterFilter(kind="http"), limit=1, after=1)] == [3]
        assert letters.count(LetterFilter(kind="http")) == 2
        assert [(g.kind, g.count) for g in letters.groups()] == [("http", 2), ("callback", 1)]
        whole = letters.get(1)
        assert whole is not None
        assert whole.payload == payload("http://host/1")
        assert letters.get(99) is None


def test_reviving_opens_a_finished_job_again(jobdir: Path) -> None:
    with open_dead_letters(str(jobdir)) as letters:
        assert letters.revive(LetterFilter(kind="http")) == 2
        assert letters.count() == 1
    store = SQLiteStore(jobdir / "t8")
    store.open()
    job = store.job()
    assert job is not None
    assert (job.finished, job.next_seq) == (False, 10)
    assert job.ledger == Ledger(admitted=4, dead=1)
    assert job.ledger.difference(store.count_entries() + store.count_waiting()) == 0
    assert [w.id for w in store.waiting()] == [entry_id(1, 4), 9, entry_id(1, 1)]
    store.close()


def test_discarding(jobdir: Path) -> None:
    with open_dead_letters(jobdir) as letters:
        assert letters.discard(LetterFilter()) == 3
        assert letters.discard(LetterFilter()) == 0
    store = SQLiteStore(jobdir / "t8")
    store.open()
    job = store.job()
    assert job is not None
    assert (job.finished, job.ledger) == (True, Ledger(admitted=3, discarded=2))
    assert job.ledger.difference(store.count_entries() + store.count_waiting()) == 0
    store.close()


def test_what_is_revived_is_due_now(jobdir: Path) -> None:
    store = SQLiteStore(jobdir / "t8")
    store.open()
    job = store.job()
    assert job is not None
    letters = DeadLetters(store, job, CODEC, clock=lambda: 100.0)
    letters.revive(LetterFilter(ids=(1,)))
    letters.discard(LetterFilter(ids=(2,)))
    assert letters.count() == 1
    assert {w.due for w in store.waiting()} == {50.0, 100.0}
    store.close()


def test_all_that_failed_as_tasks(jobdir: Path) -> None:
    with open_dead_letters(jobdir) as letters:
        waiting, first, second, old = letters.tasks()
    assert waiting.task_id == request_task_id("DETAIL_COLLECTION", "job", entry_id(1, 4))
    assert waiting.metadata == {"kind": "timeout", "url": "http://host/4"}
    assert (waiting.next_retry_time, waiting.retry_count) == (moment(50.0), 1)
    assert (first.target, first.error_message, first.next_retry_time) == ("车型-1", "API请求超时", None)
    assert (second.error_message, second.target) == ("KeyError", "http://host/2")
    assert old.task_id == request_task_id("DETAIL_COLLECTION", "old", entry_id(1, 3))


# -- export ------------------------------------------------------------------------------------------------------


def exported(letters: DeadLetters, which: LetterFilter = LetterFilter()) -> list[Any]:  # noqa: B008
    file = io.StringIO()
    count = letters.export(which, file)
    lines = file.getvalue().splitlines()
    assert len(lines) == count
    return [json.loads(line) for line in lines]


def test_an_export_has_all_fields(jobdir: Path, tmp_path: Path) -> None:
    with open_dead_letters(jobdir) as letters:
        with (tmp_path / "letters.jl").open("w", encoding="utf-8") as file:
            assert letters.export(LetterFilter(ids=(1,)), file) == 1
        assert len(exported(letters)) == 3
    line = (tmp_path / "letters.jl").read_text(encoding="utf-8")
    assert "API请求超时" in line
    assert json.loads(line) == {
        "id": 1,
        "entry": entry_id(1, 1),
        "kind": "http",
        "error": "503",
        "buried_at": "1970-01-01T00:00:09+00:00",
        "url": "http://host/1",
        "host": "host",
        "callback": "",
        "status": 503,
        "fingerprint": 7,
        "job": "job",
        "spider": "",
        "code": "",
        "task_type": "",
        "target": "",
        "attempts": [{"time": "1970-01-01T00:00:05+00:00", "kind": "timeout", "error": "API请求超时"}],
        "counts": {"timeout": 1},
        "detail": {"traceback": "跟踪"},
        "request": {"url": "http://host/1", "method": "GET", "headers": {}, "body": "", "meta": {}},
    }


def buried(tmp_path: Path, *payloads: bytes) -> list[Any]:
    """The requests of an export, or why there is none."""
    store, job = SQLiteStore(tmp_path / "t8"), JobRecord("job", "cars", {}, 1.0)
    store.open()
    store.begin_job(job)
    store.begin_run(2.0, 5)
    store.commit(CommitBatch(buried=[letter(n, payload=body) for n, body in enumerate(payloads)]), job, 3.0)
    store.close()
    with open_dead_letters(tmp_path) as letters:
        return [line["request"] or line["request_error"] for line in exported(letters)]


def test_a_request_in_an_export(tmp_path: Path) -> None:
    meta = {"tag": "汽车", "item": PlainItem(name="x"), 5: (1, b"\xff", float("inf")), "half": "\ud800"}
    text = payload("http://host/", method="POST", body="价格=1", headers={"Accept": ["a", "b"]}, meta=meta)
    form = CODEC.encode_request(FormRequest("http://host/f", formdata={"a": "1"}))
    found = buried(tmp_path, text, payload("http://host/", body=b"\xff\xfe"), form, b"", b"damaged")
    assert found[0] == {
        "url": "http://host/",
        "method": "POST",
        "headers": {"Accept": ["a", "b"]},
        "body": "价格=1",
        "meta": {"tag": "汽车", "item": {"name": "x"}, "5": [1, {"base64": "/w=="}, "inf"], "half": "\ud800"},
    }
    assert base64.b64decode(found[1]["body"]["base64"]) == b"\xff\xfe"
    assert (found[2]["method"], found[2]["body"]) == ("POST", "a=1")
    assert found[3:] == [
        "it ran from memory and was not stored",
        "the stored bytes are damaged: their checksum differs",
    ]


def test_values_as_far_as_json_allows() -> None:
    loop: list[Any] = []
    loop.append(loop)
    json.dumps(plain({"loop": loop, None: {1}, "object": object(), (1, 2): Point(1, 2), b"k": True}))
    assert plain({None: {1}, True: Point(1, None), b"k": Request("http://host")}) == {
        "null": [1],
        "true": [1, None],
        "k": "<GET http://host>",
    }


# -- opening -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["nothing", "directory", "no job"])
def test_where_there_is_no_job_none_is_made(tmp_path: Path, there: str) -> None:
    jobdir = tmp_path / "job"
    if there == "directory":
        jobdir.mkdir()
    elif there == "no job":
        store = SQLiteStore(jobdir / "t8")
        store.open()
        store.close()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(JobError, match=r"there is no job in .*/job: give the JOBDIR"), open_dead_letters(jobdir):
        pass
    if there != "no job":
        assert sorted(tmp_path.rglob("*")) == before


def test_a_job_that_runs_is_left_alone(jobdir: Path) -> None:
    with open_dead_letters(jobdir) as letters:
        with pytest.raises(JobLocked), open_dead_letters(jobdir):
            pass
        assert letters.count() == 3


def test_the_job_is_given_up_whatever_happens(jobdir: Path) -> None:
    with pytest.raises(RuntimeError), open_dead_letters(jobdir):
        raise RuntimeError
    with open_dead_letters(jobdir) as letters:
        assert letters.count() == 3
