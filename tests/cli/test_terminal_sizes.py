"""On a terminal, on none, and on one of 20 by 5: what is drawn, and what a closed line leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest
from cli_process import command, environment, torchdoctor

DEADLINE_S = 60.0


class Terminal:
    """A program on a pseudo-terminal of some size."""

    def __init__(self, home: Path, columns: int, rows: int, *arguments: str, term: str = "xterm") -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            command(*arguments), env=environment(home, TERM=term), cwd=home, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self.slave = slave
        self.text = b""

    def read_until(self, word: bytes) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while word not in self.text:
            assert time.monotonic() < deadline, self.text[-2000:]
            assert self.process.poll() is None or self._some(), self.text[-2000:]
            self._some()

    def _some(self) -> bool:
        if not select.select([self.master], [], [], 0.1)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += data
        return bool(data)

    def end(self) -> int:
        """Read the rest until the program ends; its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text[-2000:]
            self._some()
        while self._some():
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """The ssh connection is gone: both of our ends close, and the kernel sends SIGHUP."""
        for end in (self.slave, self.master):
            os.close(end)
        self.master = self.slave = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for end in {self.master, self.slave} - {-1}:
            os.close(end)


def labels(lines: list[str]) -> list[str]:
    """The words before what each line of a status says."""
    return [line.split()[0] for line in lines if not line.startswith(" ")]


def test_without_a_terminal_it_says_the_status(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path)
    lines = said.out.splitlines()
    assert labels(lines) == labels(torchdoctor(tmp_path, "status").out.splitlines())  # the load differs by then
    assert {"host", "verdict"} <= set(labels(lines))
    assert len(lines) <= 24
    assert all(len(line) <= 79 and line.isascii() and line.isprintable() for line in lines)
    assert said.code in (0, 1, 3)


def test_a_dumb_terminal_gets_the_status_too(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 80, 24, term="dumb")
    try:
        assert terminal.end() in (0, 1, 3)
        assert b"verdict " in terminal.text
        assert b"\x1b" not in terminal.text
    finally:
        terminal.close()


def test_logs_without_a_terminal_is_one_line_and_2(tmp_path: Path) -> None:
    said = torchdoctor(tmp_path, "logs", str(tmp_path))
    assert (said.code, "needs a terminal" in said.one_line()) == (2, True)
    said = torchdoctor(tmp_path, "logs", str(tmp_path / "none"))
    assert (said.code, "does not exist" in said.one_line()) == (2, True)


def test_on_twenty_by_five_the_console_says_so_and_quits(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 20, 5)
    try:
        terminal.read_until(b"\x1b[?1049h")
        terminal.read_until(b"60x16")
        os.write(terminal.master, b"q")
        assert terminal.end() == 0
        assert b"Traceback" not in terminal.text
        assert terminal.text.rindex(b"\x1b[?1049l") > terminal.text.rindex(b"\x1b[?1049h")
    finally:
        terminal.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 80, 24)
    try:
        terminal.read_until(b"GPUs")
        terminal.process.send_signal(number)
        assert terminal.end() == 128 + number
        assert termios.tcgetattr(terminal.slave) == terminal.before
        assert terminal.text.rindex(b"\x1b[?1049l") > terminal.text.rindex(b"\x1b[?1049h")
    finally:
        terminal.close()


def test_a_check_on_a_narrow_terminal_never_wraps_its_live_line(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 20, 5, "check", "env", "--device", "cpu")
    try:
        assert terminal.end() in (0, 1, 3, 4)
        live = [part for part in terminal.text.split(b"\r\x1b[K")[1:] if b"\n" not in part]
        assert all(len(part.decode()) < 20 for part in live)
        assert b"env.identity" in terminal.text
    finally:
        terminal.close()


def test_ctrl_c_on_a_terminal_cancels_and_reports(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 80, 24, "check", "data.loader", "env.identity", "--device", "cpu")
    try:
        terminal.read_until(b"data.loader")
        os.write(terminal.master, b"\x03")
        assert terminal.end() == 130
        assert b"cancelling" in terminal.text
        assert b"Traceback" not in terminal.text
        assert list(tmp_path.glob("state/runs/*/report.json"))
    finally:
        terminal.close()


def test_a_line_that_drops_ends_the_check_with_its_report(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 80, 24, "check", "data.loader", "env.identity", "--device", "cpu")
    try:
        terminal.read_until(b"data.loader")
        terminal.hang_up()
        assert terminal.process.wait(DEADLINE_S) == 129
        (report,) = tmp_path.glob("state/runs/*/report.json")
        assert b"data.loader" in report.read_bytes()
    finally:
        terminal.close()
