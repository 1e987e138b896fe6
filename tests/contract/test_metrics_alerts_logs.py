"""The metrics, alerts and log lines of the service, and its command line."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from scrapy_t8 import T8ResumeAndRetry
from scrapy_t8.__main__ import main, parser
from scrapy_t8.service.logs import FORMAT, TIME
from tests.support.process import run, wait_until

from .conftest import SOON


@pytest.mark.parametrize("env", ["development", "testing", "production"])
def test_the_command(env: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--env", env, "--mode", "config", "--log-level", "ERROR"]) == 0
    assert "the command line" in capsys.readouterr().out
    for mode in ("demo", "test"):
        assert vars(parser().parse_args(["--env", env, "--mode", mode]))["mode"] == mode


def test_metrics_and_alerts() -> None:
    with T8ResumeAndRetry({**SOON, "retry_kinds": {"handler": {"times": 0}}, "enable_auto_retry": False}) as t8:
        empty = t8.get_metrics()
        assert {"active_resume_points", "failed_tasks_waiting", "retry_success_rate", "data_integrity_score"} <= set(
            empty
        )
        assert t8.check_alerts() == []
        t8.create_resume_point(task_type="LIST_COLLECTION", current_page=1, total_processed=9)
        t8.state_manager.add_failed_task("LIST_COLLECTION", "a", "", max_retries=5)
        assert t8.get_metrics()["failed_task_ratio"] == 0.1
        assert t8.check_alerts() == []
        t8.add_failed_task(task_type="LIST_COLLECTION", target="b", error_message="", metadata={})
        t8.state_manager.start_run("DETAIL_COLLECTION", total_items=100)
        t8.state_manager.update_run("DETAIL_COLLECTION", processed_items=94)
        t8.state_manager.delete_resume_point("LIST_COLLECTION")
        found = {alert["name"]: alert["threshold"] for alert in t8.check_alerts()}
        assert found == {"retry_success_rate": 0.8, "data_integrity_score": 0.95}


@pytest.mark.parametrize(
    ("name", "threshold", "fires"),
    [
        *(("failed_task_ratio", 0.09, True), ("failed_task_ratio", 0.1, False), ("failed_task_ratio", 0.5, False)),
        *(("retry_success_rate", 0.6, True), ("retry_success_rate", 0.5, False)),
        *(("data_integrity_score", 0.91, True), ("data_integrity_score", 0.9, False)),
    ],
)
def test_an_alert_fires_beyond_its_threshold(name: str, threshold: float, fires: bool) -> None:
    never = {"failed_task_ratio": 1.0, "retry_success_rate": 0.0, "data_integrity_score": 0.0}
    config = {"enable_auto_retry": False, "retry_base": 0, "alert_thresholds": {**never, name: threshold}}
    t8 = T8ResumeAndRetry(config)
    t8.retry_manager.register_retry_handler("GOOD", lambda target, metadata: True)
    t8.add_failed_task(task_type="GOOD", target="a", error_message="", metadata={})
    t8.retry_manager.run_due()
    t8.state_manager.add_failed_task("BAD", "b", "", max_retries=0)
    t8.state_manager.start_run("DETAIL_COLLECTION", total_items=10)
    t8.state_manager.update_run("DETAIL_COLLECTION", processed_items=9)
    numbers = t8.get_metrics()
    assert [numbers[one] for one in never] == [0.1, 0.5, 0.9]
    assert [(alert["name"], alert["threshold"]) for alert in t8.check_alerts()] == [(name, threshold)] * fires
    t8.stop_service()


def test_metrics_count_points_and_waiting_tasks(t8: T8ResumeAndRetry) -> None:
    for task_type in ("LIST_COLLECTION", "DETAIL_COLLECTION"):
        t8.create_resume_point(task_type=task_type, current_page=1)
        t8.add_failed_task(task_type=task_type, target="a", error_message="", metadata={})
    numbers = t8.get_metrics()
    assert (numbers["active_resume_points"], numbers["failed_tasks_waiting"]) == (2, 2)


def test_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    with T8ResumeAndRetry({**SOON, "log_level": "INFO"}) as t8, caplog.at_level(logging.INFO, "T8ResumeAndRetry"):
        t8.retry_manager.register_retry_handler("CUSTOM_TASK", lambda target, metadata: True)
        point_id = t8.create_resume_point(task_type="LIST_COLLECTION", current_page=5, total_processed=120)
        task_id = t8.add_failed_task(task_type="CUSTOM_TASK", target="a", error_message="no answer", metadata={})
        wait_until(lambda: t8.get_failed_task(task_id) is None)
    lines = [logging.Formatter(FORMAT, TIME).format(record) for record in caplog.records]
    for wanted in (
        f"INFO - Resume point {point_id} created: page 5, 120 processed",
        f"INFO - Failed task {task_id} added: a: no answer",
        f"INFO - Retrying task {task_id}, attempt 1 of 3: a",
        f"INFO - Task {task_id} succeeded on attempt 1 and left the queue",
    ):
        form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - T8ResumeAndRetry - " + re.escape(wanted)
        assert len([line for line in lines if re.fullmatch(form, line)]) == 1, wanted


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_levels_of_the_log_on_the_command_line(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--mode", "config", "--log-level", level]) == 0
    assert re.search(rf'^T8_LOG_LEVEL +"{level}" +the command line$', capsys.readouterr().out, re.MULTILINE)


def test_the_module_is_a_command_without_a_scrapy_project(here: Path) -> None:
    done = run("-m", "scrapy_t8", "--env", "production", "--mode", "config", "--log-level", "DEBUG")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^T8_MAX_WORKERS +10 +the profile production$", done.stdout, re.MULTILINE)


def test_log_lines_on_standard_error_have_the_documented_format(here: Path) -> None:
    code = "from scrapy_t8 import T8ResumeAndRetry\nT8ResumeAndRetry({}).create_resume_point('LIST_COLLECTION', 5, 120)"
    done = run("-c", code)
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d - T8ResumeAndRetry - INFO - Resume point LIST_COLLECTION_\d+ created: .*\n"
    assert re.fullmatch(form, done.stderr), done.stderr
