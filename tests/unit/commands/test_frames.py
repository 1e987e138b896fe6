"""A traceback is shown from where it concerns the project."""

from __future__ import annotations

from scrapy_t8.commands.failed.frames import project_frames

OURS = """\
  File "/srv/shop/spiders/cars.py", line 10, in parse_car
    raise ValueError("no price")
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^"""
THEIRS = """\
  File "/venv/lib/python3.11/site-packages/scrapy/utils/defer.py", line 373, in aiter_errback
    yield await anext(it)
          ^^^^^^^^^^^^^^^
  File "/venv/lib/python3.11/site-packages/scrapy_t8/utils/threads.py", line 207, in __anext__
    return await self._next()"""
BEGIN, END = "Traceback (most recent call last):", "ValueError: no price"


def test_frames_of_libraries_are_left_out() -> None:
    assert project_frames(f"{BEGIN}\n{THEIRS}\n{OURS}\n{THEIRS}\n{END}") == (f"{BEGIN}\n{OURS}\n{END}", 4)


def test_every_part_of_a_chain_of_errors_stays() -> None:
    chain = f"{BEGIN}\n{OURS}\nKeyError: 'price'\n\nDuring handling of the above exception ...:\n\n{BEGIN}\n"
    text, left_out = project_frames(f"{chain}{THEIRS}\n{OURS}\n{END}")
    assert (text, left_out) == (f"{chain}{OURS}\n{END}", 2)


def test_an_error_of_several_lines_stays() -> None:
    text = f"{BEGIN}\n{THEIRS}\n{OURS}\nValueError: no price\n  in this page\n    nor in the next"
    assert project_frames(text)[0].endswith("ValueError: no price\n  in this page\n    nor in the next")


def test_a_traceback_of_libraries_only_stays_whole() -> None:
    text = f"{BEGIN}\n{THEIRS}\nTimeoutError"
    assert project_frames(text) == (text, 0)
    assert project_frames("") == ("", 0)


def test_a_project_named_like_a_library_is_a_project() -> None:
    text = f'{BEGIN}\n  File "/srv/scrapy/cars.py", line 1, in parse\n    1 / 0\nZeroDivisionError'
    assert project_frames(text) == (text, 0)
