"""What identifies the node: read in a child, item by item, and never a guess where it could not be read."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

import pytest

from torchprobes import child
from torchprobes.environment import describe_machine, identity
from torchprobes.model import Machine


def test_this_node_is_told_as_it_is() -> None:
    machine = describe_machine(20.0)
    assert machine.host == socket.gethostname()
    assert machine.kernel == platform.release()
    assert machine.arch == platform.machine()
    assert machine.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert machine.cores == len(os.sched_getaffinity(0))
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine.memory_bytes == pytest.approx(pages, rel=0.01)
    assert all((machine.os, machine.cpu))


def test_what_could_not_be_read_in_time_is_empty_and_no_error() -> None:
    machine = describe_machine(0.0)
    assert isinstance(machine, Machine)
    assert (machine.boot_id, machine.memory_bytes, machine.driver) == ("", 0, None)
    assert machine.host == socket.gethostname()


def test_a_child_that_dies_leaves_an_empty_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "inspector.py").write_text("raise SystemExit('broken')")
    monkeypatch.setattr(child, "INSPECTOR", tmp_path / "inspector.py")
    assert describe_machine(20.0).kernel == ""


FILES = {
    "/etc/os-release": 'NAME="x"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"\n',
    "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480C\n",
    "/proc/meminfo": "MemTotal:       2113436 kB\nMemFree: 1 kB\n",
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Fri Jan 1\n",
}

ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n"
OPEN_DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.65.06  Release Build\n"


def plant(monkeypatch: pytest.MonkeyPatch, **files: str | None) -> dict[str, object]:
    texts: dict[str, str | None] = {**FILES, **{"/" + name.replace("__", "/"): text for name, text in files.items()}}

    def read(path: str, limit: int) -> bytes:
        text = texts.get(path, "")
        if text is None:
            raise FileNotFoundError(2, "No such file or directory")
        return text.encode()[:limit]

    monkeypatch.setattr(identity, "read_regular", read)
    return {name: question() for name, question in identity.machine().items()}


def test_files_are_read_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    told = plant(monkeypatch)
    assert (told["os"], told["cpu"]) == ("Ubuntu 24.04.1 LTS", "Intel(R) Xeon(R) Platinum 8480C")
    assert (told["memory_bytes"], told["driver"]) == (2113436 << 10, "570.86.15")


def test_an_arm_node_with_the_open_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    told = plant(monkeypatch, proc__cpuinfo=ARM, proc__driver__nvidia__version=OPEN_DRIVER)
    assert (told["cpu"], told["driver"]) == ("0xd4f", "580.65.06")


def test_a_node_without_the_driver_and_with_odd_files(monkeypatch: pytest.MonkeyPatch) -> None:
    told = plant(monkeypatch, proc__driver__nvidia__version=None, etc__os_release="", proc__meminfo="\x00\xff")
    assert (told["driver"], told["memory_bytes"]) == (None, 0)
    assert told["os"], "the system's name stands in"
