"""How a child ends: what is kept of its words, and what the kernel says of its threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torchprobes.telemetry.ending import KEPT_BYTES, LastWords, cause, is_uninterruptible, last_line


def pipe() -> tuple[LastWords, int]:
    """Somebody who reads a pipe, and where to write."""
    read, write = os.pipe()
    return LastWords(open(read, "rb")), write


def test_the_last_line_that_says_something_is_kept_of_however_much() -> None:
    words, write = pipe()
    for _ in range(100):
        os.write(write, b"warning " * 500 + b"\n")
    os.write(write, b"boom \xff\n\n  \n")
    os.close(write)
    assert words.text(10) == "boom \ufffd"
    assert len(words._tail) <= KEPT_BYTES


def test_a_pipe_that_somebody_keeps_open_is_not_waited_for() -> None:
    words, write = pipe()
    os.write(write, b"said\n")
    while not words.text(0.01):
        pass
    assert words.text(0.01) == "said"
    os.close(write)


def test_without_a_pipe_there_are_no_words() -> None:
    assert LastWords(None).text() == ""


@pytest.mark.parametrize(("data", "line"), [(b"", ""), (b"\n \n", ""), (b"a\nb\n\n", "b"), (b"x" * 999, "x" * 200)])
def test_a_line_is_bounded(data: bytes, line: str) -> None:
    assert last_line(data) == line


@pytest.mark.parametrize(
    ("code", "words", "told"),
    [
        (3, "", "exit 3"),
        (3, "boom", "boom"),
        (-9, "", "SIGKILL"),
        (-11, "boom", "SIGSEGV: boom"),
        (-99, "", "signal 99"),
    ],
)
def test_a_signal_is_told_before_last_words(code: int, words: str, told: str) -> None:
    assert cause(code, words) == told


def test_a_process_is_uninterruptible_when_any_of_its_threads_is(tmp_path: Path) -> None:
    for thread, state in ((7, "Z"), (8, "S"), (9, "D")):
        assert not is_uninterruptible(7, tmp_path)
        folder = tmp_path / "7" / "task" / str(thread)
        folder.mkdir(parents=True)
        (folder / "stat").write_text(f"{thread} (a ) D) {state} 1 7 7")
    assert is_uninterruptible(7, tmp_path)
    assert not is_uninterruptible(8, tmp_path)
