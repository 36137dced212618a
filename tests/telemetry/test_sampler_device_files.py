"""Who holds a GPU by its device file, looked at only while the driver gives no answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_driver import FakeDriver, absent, until

from torchprobes.cells import UNREAD, CellState
from torchprobes.telemetry.sampling import device_files
from torchprobes.telemetry.sampling.device_files import DeviceFiles, Open, look


def test_processes_are_found_by_the_minor_of_their_files(driver: FakeDriver) -> None:
    driver.holds(10, 0)
    driver.holds(10, 3)
    driver.holds(11, 3)
    other = driver.root / "proc" / "12" / "fd"
    other.mkdir(parents=True)
    for number, target in enumerate(("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0 (deleted)", "socket:[1]")):
        (other / str(number)).symlink_to(target)
    found = look(driver.root)
    assert found == Open({0: (10,), 3: (10, 11)}, 0, looked=True)
    assert found.cell() == 2


def test_this_process_itself_is_none_of_them(driver: FakeDriver) -> None:
    driver.holds(os.getpid(), 0)
    assert look(driver.root).pids == {}


def test_what_may_not_be_looked_at_is_told_and_not_taken_for_nobody(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.holds(10, 0)
    driver.holds(11, 0)
    whole = device_files._minors

    def denied(folder: Path) -> set[int]:
        if "/11/" in str(folder):
            raise PermissionError(13, "denied")
        return whole(folder)

    monkeypatch.setattr(device_files, "_minors", denied)
    found = look(driver.root)
    assert found.pids == {0: (10,)}
    cell = absent(found.cell())
    assert (cell.state, "1 processes" in cell.why) == (CellState.PERMISSION, True)


def test_without_proc_and_before_a_look_there_is_no_number(tmp_path: Path) -> None:
    assert look(tmp_path / "none").pids == {}
    assert Open().cell() == UNREAD


def test_it_looks_only_while_it_is_wanted(driver: FakeDriver) -> None:
    driver.holds(10, 0)
    files = DeviceFiles(driver.root)
    files.start()
    assert files.found == Open()
    files.want(True)
    until(lambda: files.found.looked)
    files.want(False)
    assert files.found == Open(), "what was seen then is not told as if it were now"
