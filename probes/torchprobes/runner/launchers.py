"""How a payload is started: one interface, `start() -> Process(pid, wait, kill)`, for every kind of target.

Standard library only; runs in the guardian, on its main and only thread: PR_SET_PDEATHSIG is bound to the
thread that forked. fork and exec are done here rather than by Popen, which waits for exec to succeed: the exec of
an interpreter on a dead file system hangs, and then the time limit must still work.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from typing import Any, NamedTuple, Protocol

from torchprobes.runner.processes import PR_SET_PDEATHSIG, prctl
from torchprobes.runner.wire import Wire

_CHUNK = 1 << 16
_READS_A_TICK = 64
_FAREWELL_S = 1.0


class Exit(NamedTuple):
    """How the main process ended: its code, or the name of the signal that ended it."""

    code: int | None
    signal: str | None
    left_behind: tuple[dict[str, Any], ...] = ()


class Process(Protocol):
    """The main process of a payload."""

    pid: int
    """0 until it is known."""

    listen: tuple[int, ...]
    """File descriptors that are readable when `pump` or `wait` has something to do."""

    refused: bool
    """Whether its failure is the starter's: a plain start may succeed where that one could not."""

    def wait(self) -> Exit | None:
        """How it ended, None while it lives; never blocks."""

    def kill(self) -> None:
        """End what the guardian itself cannot see: what runs behind a launcher prefix."""

    def pump(self) -> None:
        """Move what has to be moved between the payload and the probe's folder; never blocks."""

    def failure(self) -> str | None:
        """Why it could not be started, "" once it runs, None while the exec has not returned."""


class Launcher(Protocol):
    """One way to start it."""

    def start(self) -> Process:
        """Start it.

        Raises:
            OSError: if a file cannot be opened or no process can be made.
        """
        ...


class Plain:
    """The payload as a child of the guardian, its output straight into the probe's files."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order

    def start(self) -> PlainProcess:
        """Fork and exec.

        Raises:
            OSError: if a file cannot be opened or no process can be made.
        """
        folder = self._order["folder"]
        null = os.open(os.devnull, os.O_RDONLY)
        out, err = open_log(folder, "stdout.log"), open_log(folder, "stderr.log")
        try:
            return PlainProcess(*spawn(self._order, (null, out, err)))
        finally:
            for fd in (null, out, err):
                os.close(fd)


class Child:
    """A child of the guardian. Its end is heard at once where the kernel has pidfds, else within a tick."""

    refused = False
    """Whether its failure is the starter's: a plain start may succeed where that one could not."""

    def __init__(self) -> None:
        self.pid = 0
        self.listen: tuple[int, ...] = ()
        self._handle = -1
        self._exit: Exit | None = None

    def born(self, pid: int) -> None:
        """Its pid is known."""
        self.pid = pid
        with contextlib.suppress(OSError, AttributeError):
            self._handle = os.pidfd_open(pid)
            self.listen = (self._handle,)

    def wait(self) -> Exit | None:
        """How it ended, None while it lives."""
        if self._exit is None and self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit = exit_of(status)
                self._forget()
        return self._exit

    def _forget(self) -> None:
        self.listen = tuple(fd for fd in self.listen if fd != self._handle)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class PlainProcess(Child):
    """A child that the guardian forked itself."""

    def __init__(self, pid: int, report: int) -> None:
        super().__init__()
        self.born(pid)
        self._report = report
        self._failure: str | None = None

    def kill(self) -> None:
        """Nothing: all of it descends from the guardian, which ends it."""

    def pump(self) -> None:
        """Nothing: its output goes straight into files."""

    def failure(self) -> str | None:
        """Read the child's report of its exec: the pipe closes when exec succeeds."""
        if self._failure is None:
            try:
                self._failure = os.read(self._report, 4096).decode("utf-8", "replace")
            except BlockingIOError:
                return None
        return self._failure


class Prefix:
    """The payload behind a launcher prefix: program and lifeline over stdin, events and output over stdout."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order

    def start(self) -> PrefixProcess:
        """Fork and exec the prefix; the program is fed to it by `pump`.

        Raises:
            OSError: if a file cannot be opened or no process can be made.
        """
        folder = self._order["folder"]
        with open(self._order["program"], "rb") as file:
            program = file.read()
        out, err = open_log(folder, "stdout.log"), open_log(folder, "stderr.log")
        their_in, our_in = os.pipe()
        our_out, their_out = os.pipe()
        try:
            pid, report = spawn(self._order, (their_in, their_out, err))
        finally:
            for fd in (their_in, their_out, err):
                os.close(fd)
        return PrefixProcess(pid, report, program, (our_in, our_out), Wire(self._order["marker"].encode(), folder, out))


class PrefixProcess(PlainProcess):
    """The launcher, and behind it the payload in a place that only its stdin and stdout reach."""

    def __init__(self, pid: int, report: int, program: bytes, pipes: tuple[int, int], wire: Wire) -> None:
        super().__init__(pid, report)
        self.wire = wire
        self._program = program
        self._stdin, self._stdout = pipes
        self.listen += (self._stdout,)
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)

    def wait(self) -> Exit | None:
        """How the payload ended, as told from over there; the launcher's own status where nothing was told."""
        own = super().wait()
        if own is None:
            return None
        self.pump()
        told = self.wire.exit
        if told is None:
            return own
        return Exit(told["code"], told["signal"], tuple(told["left_behind"]))

    def kill(self) -> None:
        """Close the lifeline and give the other side a moment to end everything there."""
        self._close_lifeline()
        deadline = time.monotonic() + _FAREWELL_S
        while self.wait() is None and time.monotonic() < deadline:
            self.pump()
            time.sleep(0.01)
        self.pump()
        self.wire.close()

    def pump(self) -> None:
        """Feed the program, take the output apart."""
        self._feed()
        for _ in range(_READS_A_TICK):
            try:
                chunk = os.read(self._stdout, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self.listen = tuple(fd for fd in self.listen if fd != self._stdout)
                return
            self.wire.feed(chunk)

    def _feed(self) -> None:
        try:
            while self._program:
                self._program = self._program[os.write(self._stdin, self._program) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no more: its exit will tell why
            self._program = b""

    def _close_lifeline(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin, self._program = -1, b""


def open_log(folder: str, name: str) -> int:
    """Open a log of the probe for appending."""
    return os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def spawn(order: dict[str, Any], fds: tuple[int, int, int]) -> tuple[int, int]:
    """Fork and exec; the pid, and the end of a pipe that says why exec failed or closes when it did not."""
    report, their_report = os.pipe()
    guardian = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(order, fds, their_report, guardian)
    os.close(their_report)
    os.set_blocking(report, False)
    return pid, report


def _become(order: dict[str, Any], fds: tuple[int, int, int], report: int, guardian: int) -> None:
    """In the child: a session of its own, bound to the guardian's life, then exec. Never returns."""
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guardian:  # it died before the line above took hold
            os._exit(127)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.chdir(order["cwd"])
        if order["cores"]:
            os.sched_setaffinity(0, order["cores"])
        for name, (soft, hard) in order["rlimits"].items():
            _limit(getattr(resource, name), soft, hard)
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606 - an argument list, no shell
    except OSError as error:
        os.write(report, f"cannot run {order['argv'][0]}: {error.strerror}".encode("utf-8", "replace"))
    except BaseException as error:  # noqa: BLE001 - the child must end here whatever happens
        os.write(report, f"cannot run {order['argv'][0]}: {error}".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _limit(which: int, soft: int, hard: int) -> None:
    """Set a limit; where ours may not be raised, as far as it can be."""
    most = resource.getrlimit(which)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (soft, hard))
        return
    allowed = [value if _within(value, most) else most for value in (soft, hard)]
    resource.setrlimit(which, (allowed[0], allowed[1]))


def _within(value: int, most: int) -> bool:
    return most == resource.RLIM_INFINITY or (value != resource.RLIM_INFINITY and value <= most)


def exit_of(status: int) -> Exit:
    """What waitpid tells of an end."""
    if not os.WIFSIGNALED(status):
        return Exit(os.waitstatus_to_exitcode(status), None)
    number = os.WTERMSIG(status)
    try:
        return Exit(None, signal.Signals(number).name)
    except ValueError:
        return Exit(None, f"signal {number}")
