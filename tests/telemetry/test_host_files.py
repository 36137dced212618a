"""Files of the kernel are read within bounds, and what is not there or not a number is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from host_trees import plant, state

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.telemetry.host import files
from torchprobes.telemetry.host.files import (
    Kept,
    Unexpected,
    absent,
    all_or_why,
    cell,
    entries,
    number,
    pairs,
    text,
    whole,
)
from torchprobes.telemetry.host.rates import BACKWARDS, Rate


def test_no_more_than_the_limit_is_read_of_a_file_without_end() -> None:
    assert len(text("/dev/zero", 10_000)) == 10_000


def test_a_pipe_without_a_writer_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert text(str(tmp_path / "pipe")) == ""


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\xff\xfeb")
    assert text(str(tmp_path / "file")) == "a\ufffd\ufffdb"


@pytest.mark.parametrize("word", ["", "-1", "1.5", "0x10", "nan", "1 2", "²", "9" * 21, "a"])
def test_only_digits_are_a_number(word: str) -> None:
    with pytest.raises(Unexpected, match="instead of a number"):
        whole(word, "/proc/some")


def test_a_number_is_read_with_its_end_of_line(tmp_path: Path) -> None:
    plant(tmp_path, {"some": "18446744073709551615\n"})
    assert number(str(tmp_path / "some")) == 2**64 - 1


def test_names_and_values_with_and_without_a_colon() -> None:
    assert pairs("MemTotal:  12 kB\noom_kill 3\nodd\n\n") == {"MemTotal": "12", "oom_kill": "3", "odd": "", "": ""}


def test_a_folder_without_end_is_listed_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ENTRIES", 5)
    for name in range(8):
        (tmp_path / str(name)).touch()
    assert len(entries(str(tmp_path))) == 5


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOENT, CellState.NOT_SUPPORTED),
        (errno.EOPNOTSUPP, CellState.NOT_SUPPORTED),
        (errno.EACCES, CellState.PERMISSION),
        (errno.ENODEV, CellState.LOST),
        (errno.ETIMEDOUT, CellState.HUNG),
        (errno.EIO, CellState.ERROR),
    ],
)
def test_each_error_has_its_state_and_names_the_file(code: int, expected: CellState) -> None:
    why = absent(OSError(code, os.strerror(code), "/sys/some"))
    assert why.state is expected
    assert "/sys/some" in why.why


def test_a_cell_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    missing = cell(lambda: number(str(tmp_path / "missing")))
    assert missing == Absent(state=CellState.NOT_SUPPORTED, why=f"there is no {tmp_path / 'missing'}")
    plant(tmp_path, {"odd": "\x1b[2J" + "x" * 5000})
    odd = cell(lambda: number(str(tmp_path / "odd")))
    assert state(odd) is CellState.ERROR
    assert len(odd.why) <= 200 + len(str(tmp_path))  # type: ignore[union-attr]


def test_of_cells_read_together_each_is_there_or_says_why() -> None:
    def read() -> dict[str, int]:
        raise OSError(errno.EACCES, "denied", "/proc/x")

    assert all_or_why(("a", "b"), lambda: {"a": 1, "c": 2})["a"] == 1
    assert state(all_or_why(("a", "b"), lambda: {"a": 1})["b"]) is CellState.NOT_SUPPORTED
    assert {state(one) for one in all_or_why(("a", "b"), read).values()} == {CellState.PERMISSION}


def test_a_kept_file_is_read_as_it_is_now_and_opened_anew_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "some"
    kept = Kept(str(path))
    with pytest.raises(FileNotFoundError):
        kept.text()
    path.write_text("1")
    assert kept.text() == "1"
    path.write_text("22")
    assert kept.text() == "22"
    path.unlink()
    os.mkfifo(path)
    other = Kept(str(path))
    with pytest.raises(OSError, match=str(path)):
        other.text()  # a pipe cannot be read from its beginning
    path.unlink()
    path.write_text("3")
    assert other.text() == "3"


def test_a_rate_needs_two_readings_and_tells_a_counter_that_ran_backwards() -> None:
    rate = Rate(4)
    assert rate.of(1000, 10.0) is UNREAD
    assert rate.of(1500, 12.0) == 1000.0
    assert rate.of(1501, 12.01) == 1000.0, "too near to be a rate of its own"
    assert rate.of(10, 14.0) is BACKWARDS
    assert rate.of(20, 16.0) == 20.0
    gone = Absent(state=CellState.LOST, why="gone")
    assert rate.of(gone, 18.0) is gone
    assert rate.of(20, 20.0) is UNREAD, "after a gap there is nothing to compare with"
