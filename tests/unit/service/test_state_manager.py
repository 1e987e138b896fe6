"""A state that is opened, closed and opened again."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_t8.config.settings import from_dict
from scrapy_t8.errors import StoreError
from scrapy_t8.service import StateManager


@pytest.fixture
def manager(tmp_path: Path) -> StateManager:
    return StateManager(from_dict({"state_dir": str(tmp_path), "log_level": "CRITICAL"}))


def holders(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "t8/holders").iterdir()]


def test_the_parts_are_there_only_while_it_is_open(manager: StateManager) -> None:
    with pytest.raises(StoreError, match="is closed: open the service before it is used"):
        _ = manager.parts
    manager.open()
    parts = manager.parts
    manager.open()
    assert manager.parts is parts
    manager.close()
    assert not manager.is_open
    with pytest.raises(StoreError, match="is closed"):
        parts.tasks.add_failed_task("A", "a")
    assert manager.task_counts() == (0, 0)  # which opens it again
    assert manager.is_open
    manager.close()


def test_the_leases_of_a_handler_outlive_the_state(manager: StateManager, tmp_path: Path) -> None:
    manager.open()
    name = manager.parts.context.holder.name
    manager.handler_started()
    manager.close()
    assert holders(tmp_path) == [name]
    manager.open()
    assert manager.parts.context.holder.name == name
    manager.close()
    manager.handler_ended()
    assert holders(tmp_path) == []
    manager.open()
    assert manager.parts.context.holder.name != name
    manager.close()
