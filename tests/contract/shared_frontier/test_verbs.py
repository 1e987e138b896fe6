"""What each verb of the shared frontier promises, on each engine."""

from __future__ import annotations

import pytest

from scrapy_t8.errors import JobError, JobLocked, JobMismatch, StoreError, StoreVersion
from scrapy_t8.stores.frontier_contract import (
    CommitStatus,
    Conflict,
    Counts,
    FinishStatus,
    HostChange,
    RetriedRequest,
    Seeds,
    WorkerBatch,
)
from scrapy_t8.stores.redis.wire import SEED_MARK, SEED_SLOT

from .worker import JOB, Engine

FINGERPRINT = 2**62 + 12345
"""More than a number of Lua can hold exactly."""


@pytest.fixture(autouse=True)
def _is_whole(engine: Engine) -> object:
    yield
    engine.check()


# -- sessions ----------------------------------------------------------------------------------------------------


def test_start_is_handed_out_to_one_worker(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    assert [lease.id for lease in one.lease(5)] == [0]
    assert two.lease(5) == []
    counts = one.commit(done=[0]).counts
    assert counts == Counts(start_done=True, workers=2)


def test_a_job_is_not_begun_by_a_worker_that_brings_none(engine: Engine) -> None:
    with pytest.raises(JobError, match="has no job"):
        engine.frontier.join("one", "/here")
    engine.worker("one")
    assert engine.frontier.join("two", "/there").job["id"] == "job"


def test_a_worker_that_comes_again_gets_its_records_and_gives_back_its_requests(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(one.new(), one.new(), feeds={"items.jsonl": {"size": 120}}, kept={"stats": b"\x00\xff"})
    one.lease(2)
    session = one.join()
    assert session.feeds == {"items.jsonl": {"size": 120}}
    assert session.kept == {"stats": b"\x00\xff"}
    assert session.returned == 2
    assert len(one.lease(5)) == 2


def test_two_workers_with_one_name_are_refused_until_the_first_is_dead(engine: Engine) -> None:
    engine.worker("one", place="/machine/a")
    with pytest.raises(JobLocked, match="alive at /machine/a"):
        engine.worker("one", place="/machine/b")
    engine.let_expire("one")
    engine.worker("one", place="/machine/b")


def test_other_arguments_are_refused(engine: Engine) -> None:
    engine.worker("one")
    with pytest.raises(JobMismatch, match=r"was begun with spider 'spider' and arguments \{\}"):
        engine.worker("two", job=JOB._replace(arguments='{"a": "1"}'))
    assert engine.frontier.join("three", "/c").job["arguments"] == "{}"


def test_a_job_of_another_version_is_refused(engine: Engine) -> None:
    engine.worker("one")
    engine.client.hset(f"{engine.prefix}job", "schema", "99")
    with pytest.raises(StoreVersion, match="schema 99, not 1"):
        engine.worker("two")


def test_a_key_of_something_else_is_named(engine: Engine) -> None:
    engine.client.set(f"{engine.prefix}entry", "mine")
    with pytest.raises(StoreError, match=r"entry at .* is of type string: something else uses it"):
        engine.worker("one")
    engine.client.delete(f"{engine.prefix}entry")


def test_a_worker_that_was_not_renewed_is_fenced(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin(one.new())
    (lease,) = one.lease()
    engine.let_expire("one")
    assert two.frontier.reclaim() == {"one": 1}
    assert one.commit(done=[lease.id], feeds={"a": 1}).status is CommitStatus.FENCED
    assert one.frontier.beat(one.session) is False
    assert one.frontier.leave(one.session) is False
    assert one.frontier.finish(one.session, is_durable=False) is FinishStatus.FENCED
    assert [again.body for again in two.lease()] == [lease.body]
    assert one.join().feeds == {}


def test_a_beat_keeps_a_session_alive(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    engine.let_expire("one")
    assert one.frontier.beat(one.session)
    assert two.frontier.reclaim() == {}


def test_a_worker_that_leaves_is_charged_with_nothing(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin(one.new())
    (lease,) = one.lease()
    one.commit(started=[lease.id])
    assert one.frontier.leave(one.session)
    assert [again.crashes for again in two.lease()] == [0]


# -- crashes -----------------------------------------------------------------------------------------------------


def test_a_request_that_was_sent_is_charged_with_the_death_of_its_worker(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin(one.new(), one.new())
    sent, kept = (lease.id for lease in one.lease(2))
    one.commit(started=[sent])
    engine.let_expire("one")
    two.frontier.reclaim()
    assert {lease.id: lease.crashes for lease in two.lease(2)} == {sent: 1, kept: 0}


def test_a_request_that_kills_its_worker_before_a_commit_is_charged_from_the_second_time_on(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(one.new())
    crashes = []
    for _ in range(4):
        crashes += [lease.crashes for lease in one.lease()]
        one.join()
    assert crashes == [0, 0, 1, 2]


def test_a_replay_has_the_children_of_the_earlier_attempt(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(one.new())
    (page,) = one.lease()
    child = one.new(parent=page.id, key=b"\x00key")
    one.commit(added=[child], spawned=[(page.id, b"item", 77)])
    one.join()
    spawned = {lease.id: lease.spawned for lease in one.lease(5)}
    assert spawned == {page.id: {b"\x00key": child.id, b"item": 77}, child.id: {}}
    one.commit(done=[page.id])
    one.join()
    assert {lease.id: lease.spawned for lease in one.lease(5)} == {child.id: {}}


def test_a_request_that_takes_a_place_takes_over_its_children(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(one.new())
    (page,) = one.lease()
    one.commit(spawned=[(page.id, b"item", 77)])
    other = one.new(replaces=page.id)
    one.commit(done=[page.id], added=[other])
    assert [(lease.id, lease.spawned) for lease in one.lease()] == [(other.id, {b"item": 77})]
    assert engine.ledger()["admitted"] == 1


# -- commits -----------------------------------------------------------------------------------------------------


def test_a_request_is_admitted_once(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    first, near = one.new(fingerprint=FINGERPRINT), one.new(fingerprint=FINGERPRINT + 1)
    assert one.begin(first, near).dropped == []
    again = two.new(fingerprint=FINGERPRINT)
    assert two.commit(added=[again, two.new(), two.new()]).dropped == [again.id]
    assert engine.ledger() == {"admitted": 4, "leased": 0}


@pytest.mark.parametrize(("is_fifo", "expected"), [(False, "cba"), (True, "abc")])
def test_the_order_is_that_of_scrapy(engine: Engine, is_fifo: bool, expected: str) -> None:
    one = engine.worker(job=JOB._replace(is_fifo=is_fifo))
    one.begin(
        *(one.new(body=body.encode()) for body in "abc"),
        *(one.new(body=body.encode(), is_start=True) for body in "xyz"),
        one.new(body=b"!", priority=5),
        one.new(body=b"-", priority=-5),
    )
    assert b"".join(lease.body for lease in one.lease(20)) == b"!" + expected.encode() + b"xyz-"


def test_a_lost_answer_is_given_again(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin(one.new(fingerprint=5), one.new())
    batch = WorkerBatch(added=[one.new(fingerprint=5), one.new(body=b"own")], feeds={"a": 1}, cold=b"part")
    sent = one.frontier.packed(batch)
    lost = one.frontier.commit(one.session, one.number + 1, sent, want=2)
    again = one.frontier.commit(one.session, one.number + 1, sent, want=2)
    assert (lost.status, again.status) == (CommitStatus.OK, CommitStatus.AGAIN)
    assert again.dropped == lost.dropped == [batch.added[0].id]
    assert [lease.id for lease in again.leases] == [lease.id for lease in lost.leases]
    assert next(lease.body for lease in again.leases) == b"own"
    assert one.frontier.log(0, 10) == [b"part"]
    one.take(batch, again)
    assert two.lease(5)
    assert one.commit(done=list(one.held)).status is CommitStatus.OK


def test_an_engine_that_has_lost_commits_says_so(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(one.new())
    one.number += 1
    assert one.commit(feeds={"a": 1}).status is CommitStatus.BEHIND
    assert one.join().feeds == {}


def test_what_was_not_leased_cannot_be_settled(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin(one.new())
    (lease,) = one.lease()
    for changes in ({"done": [lease.id]}, {"started": [lease.id]}, {"retried": [RetriedRequest(lease.id, 1, b"")]}):
        with pytest.raises(StoreError, match="not leased to it"):
            two.commit(**changes, feeds={"a": 1})
    assert two.join().feeds == {}


def test_a_conflict_changes_nothing(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin(one.new(), one.new(fingerprint=9))
    two.commit(keys=[FINGERPRINT, 4])
    (lease,) = one.lease()
    marked, plain = one.new(fingerprint=9, is_marked=True), one.new(fingerprint=9)
    changes = {"done": [lease.id], "added": [marked, plain, one.new(fingerprint=10)], "feeds": {"a": 1}}
    answer = one.commit(**changes, keys=[FINGERPRINT, FINGERPRINT + 1])
    assert answer.status is CommitStatus.CONFLICT
    assert answer.conflict == Conflict([FINGERPRINT], [marked.id])
    changes["added"] = [plain, one.new(fingerprint=10)]
    answer = one.commit(**changes, keys=[FINGERPRINT + 1])
    assert (answer.status, answer.dropped) == (CommitStatus.OK, [plain.id])
    assert two.commit(keys=[FINGERPRINT + 1]).status is CommitStatus.CONFLICT
    assert engine.ledger()["admitted"] == 3


def test_a_request_waits_and_keeps_its_place(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(one.new(priority=7), one.new())
    (first,) = one.lease()
    assert one.commit(retried=[RetriedRequest(first.id, 3600, b"second try")]).counts.waiting == 1
    (other,) = one.lease(5)
    assert other.id != first.id
    engine.let_due()
    one.commit()
    assert [(lease.id, lease.body) for lease in one.lease(5)] == [(first.id, b"second try")]


def test_a_request_may_wait_from_the_beginning(engine: Engine) -> None:
    one = engine.worker("one")
    request = one.new()
    assert one.begin(added_waiting=[(request, 3600.0)]).counts == Counts(0, 0, 1, True, 1)
    engine.let_due()
    assert [lease.id for lease in one.lease(5)] == [request.id]


def test_large_batches_are_whole(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(*(one.new(f"host {n % 700}", fingerprint=n * 2**40 + 5) for n in range(5000)), limits={"host 1": (3, 0)})
    leased = 0
    while leases := one.lease(10_000):
        leased += len(leases)
        one.commit(started=list(one.held))
        one.commit(done=list(one.held), feeds={f"feed {n}": n for n in range(1500)})
    assert leased == 5000
    assert engine.ledger() == {"admitted": 5000, "leased": 0}


def test_the_ledger_and_the_log_grow_with_the_commits(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.commit(ledger={"done": 2, "exported": 3}, cold=b"1")
    two.commit(ledger={"done": -1, "exported": 1}, cold=b"2")
    one.commit(cold=b"\xff3")
    assert engine.ledger() == {"done": 1, "exported": 4}
    assert one.frontier.log(1, 2) == [b"2", b"\xff3"]


# -- politeness --------------------------------------------------------------------------------------------------


def test_the_concurrency_of_a_slot_holds_over_all_workers(engine: Engine) -> None:
    workers = [engine.worker(str(number)) for number in range(3)]
    one = workers[0]
    one.begin(*(one.new("a") for _ in range(20)), *(one.new("b") for _ in range(2)), limits={"a": (4, 0), "b": (4, 0)})
    for worker in workers:
        worker.lease(20)
    assert sum(len(worker.held) for worker in workers) == 6
    one.commit(done=[next(number for number in one.held)])
    assert len(workers[2].lease(20)) == 1


def test_one_worker_alone_may_hold_more_than_it_sends(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(*(one.new("a") for _ in range(20)), limits={"a": (2, 0)})
    assert len(one.lease(20)) == 16
    two = engine.worker("two")
    assert two.lease(20) == []
    one.commit(done=list(one.held)[:15])
    assert len(two.lease(20)) == 1


def test_a_download_delay_is_a_turn_of_all_workers(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin(*(one.new("a") for _ in range(9)), limits={"a": (8, 0.9)})
    turns = [lease.start_in for worker in (one, two, one) for lease in worker.lease(2)]
    assert len(turns) == 3  # more would lie beyond the horizon
    assert turns == sorted(turns)
    assert all(turn >= number * 0.9 - 0.9 for number, turn in enumerate(turns))


def test_a_paused_host_is_not_asked(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(one.new("up"), one.new("down"), hosts={"down": HostChange(b"{}", 3600.0)})
    assert [one.held[lease.id].body for lease in one.lease(5)] == [b"r%d" % (one.next_id - 1)]
    one.commit(hosts={"down": HostChange(None)})
    assert len(one.lease(5)) == 1


def test_the_state_of_a_host_reaches_every_worker_once(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.commit(hosts={"down": HostChange(b"record", 60.0)})
    answer = two.commit()
    assert answer.hosts == {"down": b"record"}
    later = two.frontier.commit(two.session, 2, WorkerBatch(), want=0, hosts_version=answer.hosts_version)
    assert later.hosts is None
    one.commit(hosts={"down": HostChange(None)})
    assert two.frontier.commit(two.session, 3, WorkerBatch(), want=0, hosts_version=answer.hosts_version).hosts == {}


def test_slots_take_turns(engine: Engine) -> None:
    one = engine.worker("one")
    one.begin(*(one.new(slot, body=slot.encode()) for slot in "abcdef" for _ in range(5)))
    for _ in range(5):
        assert sorted(lease.body for lease in one.lease(6)) == [b"a", b"b", b"c", b"d", b"e", b"f"]


# -- seeds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "set", "zset"])
def test_seeds_become_requests(engine: Engine, kind: str) -> None:
    one, key = engine.worker("one"), f"{engine.prefix}:seeds"
    seeds = [b"http://a", b"\xff\x00", b"http://b"]
    for place, seed in enumerate(seeds):
        if kind == "list":
            engine.client.rpush(key, seed)
        elif kind == "set":
            engine.client.sadd(key, seed)
        else:
            engine.client.zadd(key, {seed: -place})
    one.begin(seeds=Seeds(key, kind, range(100, 102)), limits={SEED_SLOT: (100, 0.0)})
    first = one.lease(5)
    one.commit(seeds=Seeds(key, kind, range(102, 110)))
    found = [lease.body for lease in [*first, *one.lease(5)]]
    expected = [SEED_MARK + seed for seed in seeds]
    assert sorted(found) == sorted(expected) if kind == "set" else found == expected
    assert one.commit(seeds=Seeds(key, kind, [200])).status is CommitStatus.OK


def test_seeds_of_another_type_are_named(engine: Engine) -> None:
    one, key = engine.worker("one"), f"{engine.prefix}:seeds"
    engine.client.sadd(key, "a")
    with pytest.raises(StoreError, match="is of type set"):
        one.commit(seeds=Seeds(key, "list", [5]), feeds={"a": 1})
    assert one.join().feeds == {}


# -- the end -----------------------------------------------------------------------------------------------------


def test_a_job_is_finished_when_nothing_is_left_and_that_is_durable(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    assert one.frontier.finish(one.session, is_durable=False) is FinishStatus.OPEN
    one.begin(one.new())
    two.lease()
    assert one.frontier.finish(one.session, is_durable=True) is FinishStatus.OPEN
    two.commit(done=list(two.held))
    assert one.frontier.finish(one.session, is_durable=True) is FinishStatus.ENDING
    one.frontier.wait_durable()
    assert one.frontier.finish(one.session, is_durable=True) is FinishStatus.WON
    assert two.frontier.finish(two.session, is_durable=True) is FinishStatus.FINISHED
    with pytest.raises(JobError, match="is finished"):
        engine.worker("three")


def test_an_end_that_was_undone_is_no_end(engine: Engine) -> None:
    one, two = engine.worker("one"), engine.worker("two")
    one.begin()
    assert one.frontier.finish(one.session, is_durable=False) is FinishStatus.ENDING
    two.commit(added=[two.new()])
    assert one.frontier.finish(one.session, is_durable=True) is FinishStatus.OPEN
    (lease,) = two.lease()
    two.commit(done=[lease.id])
    assert one.frontier.finish(one.session, is_durable=True) is FinishStatus.ENDING
