"""The kernel's log as a pipe, a file, a journal and nothing at all; and the real one, where it may be read."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_driver import absent, until

from torchprobes.samples import KernelEvent
from torchprobes.telemetry.kernel.log import KMSG, MOST_PENDING, KernelLog

XID = "NVRM: Xid (PCI:0000:3b:00): {code}, pid={pid}, name=python3, Ch 8"


def record(text: str, at_us: int = 1_000_000, more: str = "") -> bytes:
    return f"4,17,{at_us},-;{text}\n{more}".encode()


def kmsg(root: Path) -> Path:
    """Where the log lies under a root."""
    (root / "dev").mkdir(exist_ok=True)
    return root / KMSG


@contextmanager
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A log that is written while it is read."""
    os.mkfifo(kmsg(tmp_path))
    handle = os.open(kmsg(tmp_path), os.O_RDWR)
    yield tmp_path, handle
    os.close(handle)


def started(log: KernelLog) -> KernelLog:
    log.start()
    assert log.settled.wait(20)
    return log


def journal_that(folder: Path, body: str) -> tuple[str, ...]:
    """A journalctl that does this, in Python; its options are in `sys.argv`."""
    program = folder / "journalctl.py"
    program.write_text(f"import sys, time, json\n{body}\n")
    return (sys.executable, "-S", str(program))


def is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def entry(message: str | list[int], cursor: str, at_us: int = 5, spaces: bool = False) -> str:
    fields = {
        "MESSAGE": message,
        "__CURSOR": cursor,
        "__REALTIME_TIMESTAMP": "1700000000000000",
        "_SOURCE_MONOTONIC_TIMESTAMP": str(at_us),
    }
    return json.dumps(fields, separators=(" , ", " : ") if spaces else (",", ":"))


def test_what_the_ring_holds_is_told_and_what_comes_too(tmp_path: Path) -> None:
    with pipe(tmp_path) as (root, handle):
        os.write(handle, record(XID.format(code=13, pid=7), 1_000_000, " SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n"))
        os.write(handle, record("usb 1-1: new device"))
        log = started(KernelLog(root, job_of=lambda pid: f"job of {pid}"))
        (old,) = log.take()
        before = time.time_ns()
        os.write(handle, record(XID.format(code=31, pid=8), 2_000_000))
        (new,) = until(log.take)
        assert log.state == "kmsg"
        assert (old.code, old.source, old.boot_us, old.job) == (13, "kmsg", 1_000_000, "")
        boot_ns = time.time_ns() - time.monotonic_ns()
        assert abs(old.t_ns - boot_ns - 1_000_000_000) < 1_000_000_000
        assert (new.code, new.job) == (31, "job of 8")
        assert before <= new.t_ns <= time.time_ns()


def test_broken_records_are_passed_over(tmp_path: Path) -> None:
    good = record(XID.format(code=79, pid=1))
    broken = [b"4,1;NVRM: Xid (PCI:0000:3b:00): 1, x\n", b"NVRM: Xid (PCI:0000:3b:00): 2, x\n", b"\xff\x00NVRM\n"]
    broken += [b"4,1,99999999999999999999,-;NVRM: Xid (PCI:0000:3b:00): 3, x\n", b" NVRM: Xid (PCI:0000:3b:00): 4, x\n"]
    kmsg(tmp_path).write_bytes(b"".join(broken) + good)
    log = started(KernelLog(tmp_path))
    assert [event.code for event in log.take()] == [79]


def test_a_storm_is_bounded_and_its_gap_is_told(tmp_path: Path) -> None:
    kmsg(tmp_path).write_bytes(b"".join(record(XID.format(code=13, pid=n)) for n in range(MOST_PENDING + 5)))
    log = started(KernelLog(tmp_path))
    first = log.take()
    rest: list[KernelEvent] = []
    while some := log.take():
        rest += some
    assert len(first) == 1000
    assert len(first) + len(rest) == MOST_PENDING
    assert first[0].pid == 5
    assert "5 gaps" in str(log.state)


def test_without_kmsg_the_journal_is_asked(tmp_path: Path) -> None:
    lines = [
        entry("usb 1-1: new device", "a", 1),
        entry(XID.format(code=48, pid=3), "b", 2),
        entry(list(XID.format(code=43, pid=3).encode() + b"\xff\x1b"), "c", 3),
        entry(list(XID.format(code=31, pid=3).encode() + b"\xff\x1b"), "c", 4, spaces=True),
        entry("nothing", "d", 5, spaces=True),
    ]
    command = journal_that(tmp_path, f"print({chr(10).join(lines)!r})")
    log = started(KernelLog(tmp_path, command))
    assert log.state == "journal"
    assert [(e.code, e.source, e.boot_us, e.t_ns) for e in log.take()] == [
        (48, "journal", 2, 1_700_000_000_000_000_000),
        (43, "journal", 3, 1_700_000_000_000_000_000),
        (31, "journal", 4, 1_700_000_000_000_000_000),
    ]


def test_the_journal_is_asked_on_from_its_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.telemetry.kernel.log.JOURNAL_S", 0.01)
    asked = tmp_path / "asked"
    first, second = entry(XID.format(code=48, pid=3), "CURSOR", 2), entry(XID.format(code=79, pid=3), "NEXT", 9)
    body = (
        f"open({str(asked)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n"
        f"print({first!r} if '--lines' in sys.argv else {second!r})"
    )
    log = started(KernelLog(tmp_path, journal_that(tmp_path, body)))
    found: list[KernelEvent] = []
    until(lambda: found.extend(log.take()) or len(found) > 1 or None)
    assert [event.code for event in found] == [48, 79]
    until(lambda: asked.read_text().count("\n") > 3 or None)
    assert "--after-cursor CURSOR" in asked.read_text().splitlines()[1]
    assert log.take() == ()  # the same line, told again, is no new event


def test_where_both_are_denied_it_says_what_would_help(tmp_path: Path) -> None:
    command = journal_that(tmp_path, "print('No journal files were opened due to insufficient permissions.')")
    cell = absent(started(KernelLog(tmp_path, command)).state)
    assert "insufficient permissions" in cell.why
    assert "No such file" in cell.why
    assert "usermod -aG systemd-journal" in cell.why
    assert "run as root" in cell.why


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_log_names_the_capability(tmp_path: Path) -> None:
    kmsg(tmp_path).touch(mode=0o000)
    cell = absent(started(KernelLog(tmp_path, ("/nonexistent/journalctl",))).state)
    assert "CAP_SYSLOG" in cell.why


def test_a_refused_open_names_the_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open

    def refuse(path: object, *rest: int, **more: int) -> int:
        if path == tmp_path / KMSG:
            raise PermissionError(1, "Operation not permitted")
        return really(path, *rest, **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "open", refuse)
    cell = absent(started(KernelLog(tmp_path, ("/nonexistent/journalctl",))).state)
    assert cell.state.value == "perm"
    assert "CAP_SYSLOG" in cell.why
    assert "/nonexistent/journalctl: No such file" in cell.why


def test_a_stand_in_for_the_log_is_not_taken_for_it(tmp_path: Path) -> None:
    kmsg(tmp_path).symlink_to("/dev/null")
    cell = absent(started(KernelLog(tmp_path, ("/nonexistent/journalctl",))).state)
    assert "stand-in" in cell.why


def test_a_journal_that_hangs_is_killed_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchprobes.telemetry.kernel.journal.DEADLINE_S", 0.5)
    pid = tmp_path / "pid"
    body = f"import os; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    cell = absent(started(KernelLog(tmp_path, journal_that(tmp_path, body))).state)
    assert "no answer in time" in cell.why
    until(lambda: is_dead(int(pid.read_text())) or None)


def test_the_real_log_is_read_from_its_beginning() -> None:
    try:
        os.close(os.open(f"/{KMSG}", os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        pytest.skip(f"this machine's log cannot be read: {error}")
    log = started(KernelLog())
    assert log.state == "kmsg"
    assert all(event.boot_us is not None and event.text for event in log.take())


def test_the_command_of_a_journal_is_bounded(tmp_path: Path) -> None:
    out = tmp_path / "words"
    command = journal_that(tmp_path, f"open({str(out)!r}, 'w').write(chr(10).join(sys.argv[1:]))")
    absent(started(KernelLog(tmp_path, command)).state)
    assert out.read_text().split() == ["--lines", "20000"], shlex.join(command)
