"""Files that are written whole, or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from scrapy_t8.errors import WriteError
from scrapy_t8.utils.files import replacing, writing


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as file:
        file.write("new \udc80")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new \\udc80"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(str(1 // 0))
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_what_a_command_writes_is_for_its_owner_only(tmp_path: Path) -> None:
    with writing(str(tmp_path / "file")) as file:
        file.write("secret")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with writing("-") as file:
        file.write("shown")
    assert capsys.readouterr().out == "shown"


@pytest.mark.parametrize("name", ["", "no/such/directory/file"])
def test_what_cannot_be_written(name: str, tmp_path: Path) -> None:
    message = r"cannot be written: .*\. Nothing was written: choose another file"
    with pytest.raises(WriteError, match=message), writing(str(tmp_path / name)):
        pass
