"""One task waits for each task type and target, however often and by whom it is reported as failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.model.failed_task import FailedTask, service_entry, service_task_id
from tests.support.clock import Clock

Make = Callable[..., T8ResumeAndRetry]
TYPE = "DETAIL_COLLECTION"


def waiting(service: T8ResumeAndRetry) -> list[FailedTask]:
    return list(service.state_manager.failed_tasks())


def balanced(service: T8ResumeAndRetry) -> bool:
    job = service.state_manager.parts.context.store.job()
    return job is not None and job.ledger.difference(service.state_manager.task_counts()[0]) == 0


def test_a_second_failure_joins_the_task_that_waits(service: T8ResumeAndRetry, clock: Clock) -> None:
    first = service.add_failed_task(TYPE, "a", "timeout", {"page": 1, "tag": "x"})
    before = waiting(service)[0]
    clock.now += 5
    assert service.add_failed_task(TYPE, "a", "no price", {"page": 2}, max_retries=7) == first
    service.add_failed_task("OTHER", "a", "timeout")
    task, other = waiting(service)
    assert (task.task_id, task.error_message, task.metadata) == (first, "no price", {"page": 2, "tag": "x"})
    assert (task.max_retries, task.retry_count, task.next_retry_time) == (7, 0, before.next_retry_time)
    assert task.created_at == before.created_at
    assert other.task_type == "OTHER"
    assert balanced(service)


def test_inside_of_a_batch_and_after_a_restart(make_service: Make) -> None:
    service = make_service()
    with service.state_manager.batch():
        ids = [service.add_failed_task(TYPE, "a", str(number)) for number in range(3)]
    service.stop_service()
    again = make_service()
    ids.append(again.add_failed_task(TYPE, "a", "once more"))
    assert len(set(ids)) == 1
    assert [task.error_message for task in waiting(again)] == ["once more"]
    assert balanced(again)


def test_many_threads_and_two_services_at_once(make_service: Make) -> None:
    services = [make_service(), make_service()]
    ids: list[str] = []

    def add(service: T8ResumeAndRetry) -> None:
        with service.state_manager.batch(size=2):
            ids.extend(service.add_failed_task(TYPE, f"t{number}", "no answer") for number in range(20))

    threads = [threading.Thread(target=add, args=(service,)) for service in services * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(task.target for task in waiting(services[0])) == sorted(f"t{number}" for number in range(20))
    # Where two threads add a target at the same time, both ids lead to one task.
    found = {task_id: services[1].get_failed_task(task_id) for task_id in ids}
    assert len(found) >= 20
    assert all(found.values())
    assert balanced(services[0])


def test_a_target_that_fails_again_while_its_handler_succeeds_is_not_lost(
    service: T8ResumeAndRetry, clock: Clock
) -> None:
    def handler(target: str, metadata: dict[str, str]) -> bool:
        if not metadata:
            service.add_failed_task(TYPE, target, "the second half is missing", {"half": "2"})
        return True

    service.retry_manager.register_retry_handler(TYPE, handler)
    task_id = service.add_failed_task(TYPE, "a", "timeout")
    clock.now += 1
    assert service.retry_manager.run_due() == 1
    task = service.get_failed_task(task_id)
    assert task is not None
    assert (task.error_message, task.metadata, task.retry_count) == ("the second half is missing", {"half": "2"}, 0)
    clock.now += 1
    assert service.retry_manager.run_due() == 1
    assert service.get_failed_task(task_id) is None
    assert balanced(service)


def test_a_dead_task_that_is_revived_joins_the_one_that_waits(make_service: Make, clock: Clock) -> None:
    service = make_service(enable_auto_retry=False)
    dead = service.add_failed_task(TYPE, "a", "gone", {"page": 1}, max_retries=0)
    assert service.get_failed_task(dead) is not None
    clock.now += 1
    newer = service.add_failed_task(TYPE, "a", "timeout", {"page": 2})
    assert service.state_manager.revive() == 1
    (task,) = waiting(service)
    assert (task.error_message, task.metadata) == ("timeout", {"page": 2})
    for task_id in (dead, newer):
        assert service.get_failed_task(task_id) == task
    assert balanced(service)


def test_a_target_that_has_succeeded_begins_anew(service: T8ResumeAndRetry, clock: Clock) -> None:
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
    first = service.add_failed_task(TYPE, "a", "timeout")
    clock.now += 1
    assert service.retry_manager.run_due() == 1
    second = service.add_failed_task(TYPE, "a", "timeout")
    assert second != first
    assert [task.task_id for task in waiting(service)] == [second]
    assert service.state_manager.remove_failed_task(second)
    assert service.add_failed_task(TYPE, "a", "timeout") not in (first, second)


def test_an_import_from_another_state_drops_nothing(make_service: Make, tmp_path: Path) -> None:
    one, two = (make_service(state_dir=str(tmp_path / name)) for name in ("one", "two"))
    ids = [service.add_failed_task(TYPE, f"{name}{number}", "x") for name, service in (("a", one), ("b", two))
           for number in range(50)]  # fmt: skip
    assert len(set(ids)) == 100
    assert two.state_manager.import_state(one.state_manager.export_state())["failed_tasks"] == 50
    assert len(waiting(two)) == 100
    assert two.state_manager.import_state(one.state_manager.export_state())["failed_tasks"] == 0


def test_an_imported_task_whose_id_is_taken_gets_a_new_one(service: T8ResumeAndRetry) -> None:
    taken = service.add_failed_task(TYPE, "a", "x")
    document = service.get_failed_task(taken).to_dict() | {"target": "b"}  # type: ignore[union-attr]
    assert service.state_manager.import_state([document])["failed_tasks"] == 1
    ids = {task.target: task.task_id for task in waiting(service)}
    assert ids["a"] == taken
    assert ids["b"] != taken
    assert service.get_failed_task(ids["b"]).target == "b"  # type: ignore[union-attr]


def test_doubles_of_an_earlier_release_are_joined_when_the_state_is_opened(make_service: Make) -> None:
    service = make_service()
    ids = [service.add_failed_task(TYPE, target, "x") for target in ("a", "b")]
    store = service.state_manager.parts.context.store
    with store.writing() as db:
        db.execute("DELETE FROM task_name")
        db.execute("UPDATE waiting SET payload = CAST(replace(CAST(payload AS TEXT), ?, ?) AS BLOB)", ('"b"', '"a"'))
    service.stop_service()
    again = make_service()
    assert [task.target for task in waiting(again)] == ["a"]
    assert all(again.get_failed_task(task_id) is not None for task_id in ids)
    assert again.add_failed_task(TYPE, "a", "y") == ids[0]
    assert balanced(again)


def test_ids_of_one_state_are_all_different_and_lead_back() -> None:
    for job in ("service_1", "service_2"):
        ids = {service_task_id(TYPE, entry, job) for entry in range(2000)}
        assert len(ids) == 2000
        assert all(service_entry(service_task_id(TYPE, entry, job), job) == entry for entry in (0, 1, 1999, 2**32 - 1))


def test_a_revival_takes_back_that_a_task_was_given_up(make_service: Make, clock: Clock) -> None:
    service = make_service(retry_kinds={"handler": {"times": 0}}, enable_auto_retry=False)
    for number in range(4):
        service.add_failed_task(TYPE, str(number), "a bug")
    assert service.get_metrics()["retry_success_rate"] == 0
    assert service.state_manager.revive() == 4
    assert service.get_metrics()["retry_success_rate"] is None
    service.retry_manager.register_retry_handler(TYPE, lambda target, metadata: True)
    clock.now += 1
    service.retry_manager.run_due()
    assert service.get_metrics()["retry_success_rate"] == 1
    assert service.check_alerts() == []
