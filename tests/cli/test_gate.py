"""`check --gate prolog`: a sure critical finding drains a node; nothing that is our own fault ever does."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cli_process import environment, torchdoctor, until
from fake_driver import FakeDriver  # pyright: ignore[reportMissingImports]
from sample_material import gpu, host, sample, xid  # pyright: ignore[reportMissingImports]

from torchdoctor import gate
from torchdoctor.commands import _gate
from torchdoctor.settings import Settings
from torchprobes import child
from torchprobes.cells import Absent, CellState
from torchprobes.samples import DiskSample, GpuSample, Sample
from torchprobes.telemetry.health import Judge
from torchprobes.telemetry.rules import CHECKS
from torchprobes.telemetry.sure import SURE

PROLOG = ("check", "--gate", "prolog")


@dataclass
class Bench:
    """One gate in a process of its own, forked from this one; faults are put in before, here or in it."""

    patch: pytest.MonkeyPatch
    home: Path
    log: socket.socket
    arguments: Sequence[str] = PROLOG
    in_it: Callable[[], None] = lambda: None
    streams: dict[int, int] = field(default_factory=dict)

    def look(self, look: Callable[[], Any]) -> None:
        self.patch.setattr(gate, "_look", look)

    def limit(self, seconds: float) -> None:
        self.patch.setattr(gate, "LIMIT_S", seconds)

    def start(self) -> int:
        for stream in (1, 2):
            path = self.home / str(stream)
            self.streams.setdefault(stream, os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        pid = os.fork()
        if not pid:
            try:
                for stream, handle in self.streams.items():
                    os.dup2(handle, stream)
                self.in_it()
                gate.main(self.arguments)
            finally:
                os._exit(99)
        return pid

    def code(self, pid: int = 0) -> int:
        pid, ended = pid or self.start(), []
        until(lambda: bool(ended.append(os.waitpid(pid, os.WNOHANG)) or ended[-1][0]), "the gate's end")
        return os.waitstatus_to_exitcode(ended[-1][1])

    def said(self, stream: int = 2) -> str:
        return (self.home / str(stream)).read_text()

    def logged(self) -> str:
        try:
            return self.log.recv(8192).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(f"{short}/log")  # a path of a socket has 107 characters at most
        log.setblocking(False)
        monkeypatch.setattr(gate, "SYSLOG", f"{short}/log")
        monkeypatch.setattr(gate, "LIMIT_S", 90.0)
        monkeypatch.setattr(_gate, "SAMPLE_S", 60.0)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        yield Bench(monkeypatch, tmp_path, log)


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def look() -> NoReturn:
        raise error

    return look


def dying(number: int) -> Callable[[], None]:
    def look() -> None:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)

    return look


def stuck() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGALRM})
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def saying(said: bytes) -> Callable[[Any, int, float], None]:
    """A looker that writes this and dies."""

    def looks(_: Any, sink: int, __: float) -> None:
        os.write(sink, said)
        os._exit(1)

    return looks


def sampler(script: str) -> Callable[[Bench], None]:
    return lambda bench: bench.patch.setattr(_gate, "sampler_command", lambda _: ("/bin/sh", "-c", script))


def config(text: str) -> Callable[[Bench], None]:
    def arrange(bench: Bench) -> None:
        path = bench.home / ".config" / "torchdoctor" / "config.toml"
        path.parent.mkdir(parents=True)
        path.write_text(text)

    return arrange


def no_fork() -> None:
    def fork() -> NoReturn:
        raise BlockingIOError(11, "no more processes")

    os.fork = fork  # type: ignore[assignment]


def dead_home(bench: Bench) -> None:
    def ask(*_: Any) -> NoReturn:
        raise child.Hung

    bench.patch.setattr(child, "ask", ask)
    sampler("true")(bench)


def hanging(bench: Bench) -> None:
    bench.look(stuck)
    bench.limit(0.6)


def mute_sampler(bench: Bench) -> None:
    sampler("exec sleep 60")(bench)
    bench.patch.setattr(_gate, "SAMPLE_S", 0.2)


def broken_rules(bench: Bench) -> None:
    sampler("true")(bench)
    bench.patch.setattr(Judge, "judge", lambda *_: 1 / 0)


def unimportable(bench: Bench) -> None:
    bench.patch.setitem(sys.modules, "torchdoctor.commands._gate", None)


def crowded(bench: Bench) -> None:
    bench.look(raising(RuntimeError("boom")))
    bench.in_it = no_fork


def without_handles(bench: Bench) -> None:
    bench.in_it = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def asked(*arguments: str) -> Callable[[Bench], None]:
    return lambda bench: setattr(bench, "arguments", arguments)


def looker(look: Callable[[], Any]) -> Callable[[Bench], None]:
    return lambda bench: bench.look(look)


def looks(said: bytes) -> Callable[[Bench], None]:
    return lambda bench: bench.patch.setattr(gate, "_looks", saying(said))


FAULTS: dict[str, tuple[Callable[[Bench], None], str]] = {
    "a slip in the gate's name": (asked("check", "--gate", "prlog"), "is no `check --gate prolog`"),
    "an option that it does not take": (asked(*PROLOG, "--json", "-"), "takes no other option"),
    "a config that is no TOML": (config("theme = "), "is not TOML"),
    "a config with an unknown key": (config("thresh = 1"), "'thresh' that is not known"),
    "a setting of the environment that is none": (
        lambda bench: bench.patch.setenv("TORCHDOCTOR_RATE", "fast"),
        "TORCHDOCTOR_RATE",
    ),
    "a home on a dead file system": (dead_home, "no answer in"),
    "a module that is not there": (unimportable, "ModuleNotFoundError"),
    "a bug": (looker(raising(ZeroDivisionError("division"))), "ZeroDivisionError"),
    "no memory": (looker(raising(MemoryError())), "MemoryError"),
    "an exit of a library": (looker(raising(SystemExit(1))), "SystemExit"),
    "an interrupt in the looker": (looker(raising(KeyboardInterrupt())), "KeyboardInterrupt"),
    "a bug in a rule": (broken_rules, "ZeroDivisionError"),
    "a looker that leaves without a word": (looker(lambda: os._exit(1)), "ended with exit code 1"),
    "a looker that is killed for memory": (looker(dying(signal.SIGKILL)), "ended with signal 9"),
    "a looker that crashes": (looker(dying(signal.SIGSEGV)), "ended with signal 11"),
    "a looker that hangs and heeds no signal": (hanging, "no answer within 0.6 s"),
    "half a sentence": (looks(b"drain TD-GPU-003"), "ended with exit code 1"),
    "a word that is none of ours": (looks(b"drained TD-GPU-003\n"), "it said 'drained TD-GPU-003'"),
    "an answer without an end": (looks(b"drain " * 4000), "it said"),
    "no process can be started": (crowded, "no more processes"),
    "no file can be opened": (without_handles, "Too many open files"),
    "a sampler that cannot be started": (
        lambda bench: bench.patch.setattr(_gate, "sampler_command", lambda _: ("/nonexistent/python",)),
        "FileNotFoundError",
    ),
    "a sampler that dies": (sampler("echo no driver today >&2; exit 7"), "sampler"),
    "a sampler that talks nonsense": (sampler('echo \'{"t_ns": "soon"}\''), "sampler"),
    "a sampler that says nothing": (mute_sampler, "hung"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_of_our_own_drains_a_node_and_each_is_a_line(fault: str, bench: Bench) -> None:
    arrange, words = FAULTS[fault]
    arrange(bench)
    assert bench.code() == 0
    said = bench.said()
    assert (said.count("\n"), words in said) == (1, True), said
    assert bench.said(1) == ""
    if fault != "no file can be opened":  # there is no socket then, either
        logged = bench.logged()
        assert logged.startswith(f"<{gate.DAEMON | gate.WARNING}>")
        assert logged.endswith(said.strip())


# --- streams and signals -----------------------------------------------------------------------------------------


def sure() -> tuple[str, str]:
    return gate.DRAIN, "TD-GPU-003 GPU 1: the GPU is lost\x1b[2J"


def test_a_sure_critical_finding_drains_and_says_why_everywhere(bench: Bench) -> None:
    bench.look(sure)
    assert bench.code() == 1
    line = "torchdoctor gate: drain: TD-GPU-003 GPU 1: the GPU is lost?[2J\n"
    assert (bench.said(1), bench.said(2)) == (line, line)
    assert bench.logged().startswith(f"<{gate.DAEMON | gate.CRITICAL}>")


def test_a_sound_node_is_silence(bench: Bench) -> None:
    bench.look(lambda: ("fine", "no fault found"))
    assert bench.code() == 0
    assert (bench.said(1), bench.said(2), bench.logged()) == ("", "", "")


def close_all() -> None:
    for stream in range(3):
        os.close(stream)


def ignore_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@pytest.mark.parametrize("inside", [close_all, ignore_children], ids=["closed streams", "children are not waited for"])
@pytest.mark.parametrize(("look", "code"), [(sure, 1), (raising(RuntimeError("boom")), 0)], ids=["sure", "bug"])
def test_how_it_is_called_changes_no_answer(
    look: Callable[[], Any], code: int, inside: Callable[[], None], bench: Bench
) -> None:
    bench.look(look)
    bench.in_it = inside
    assert bench.code() == code
    assert ("drain" in bench.logged()) is (code == 1)


def fill(write: Callable[[], int]) -> None:
    """Write until there is no room."""
    with contextlib.suppress(BlockingIOError):
        for _ in range(10_000):
            write()
        raise AssertionError("there is room without end")


@pytest.mark.parametrize(("look", "code"), [(sure, 1), (raising(RuntimeError("boom")), 0)], ids=["sure", "bug"])
def test_streams_that_nobody_reads_hold_nothing_up(look: Callable[[], Any], code: int, bench: Bench) -> None:
    _, full = os.pipe()
    os.set_blocking(full, False)
    fill(lambda: os.write(full, b"x" * 65536))
    os.set_blocking(full, True)
    bench.streams = {1: full, 2: full}
    bench.look(look)
    assert bench.code() == code


def test_a_syslog_that_reads_no_more_or_is_not_there_holds_nothing_up(bench: Bench) -> None:
    bench.look(sure)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.setblocking(False)
        fill(lambda: full.sendto(b"x" * 1000, gate.SYSLOG))
    assert bench.code() == 1
    bench.patch.setattr(gate, "SYSLOG", "/nonexistent/log")
    assert bench.code() == 1
    assert bench.said().count("drain: TD-GPU-003") == 2


@pytest.mark.parametrize("number", gate.ENDING, ids=lambda number: signal.Signals(number).name)
def test_one_that_is_ended_says_nothing_of_the_node(number: int, bench: Bench) -> None:
    begun = bench.home / "begun"

    def look() -> None:
        begun.touch()
        stuck()

    bench.look(look)
    pid = bench.start()
    until(begun.exists, "the looker")
    os.kill(pid, number)
    assert bench.code(pid) == 0
    assert signal.Signals(number).name in bench.said()


# --- what is sure ------------------------------------------------------------------------------------------------

NO_DRIVER = Absent(state=CellState.ERROR, why="driver not loaded", code=9)
RETIRED = {"retired_single_bit_pages": 32, "retired_double_bit_pages": 32}

PROVEN: dict[str, Sample] = {
    "TD-DRV-002": sample(driver=NO_DRIVER, driver_state="the kernel module is not loaded", hardware=2),
    "TD-DRV-003": sample(gpu(), kernel_module="560.1"),
    "TD-GPU-002": sample(gpu(), hardware=2, device_nodes=2),
    "TD-GPU-003": sample(gpu(), gpu(1, state="lost")),
    "TD-GPU-004": sample(gpu(state="reset")),
    "TD-GPU-006": sample(gpu(recovery_action=2)),
    "TD-GPU-011": sample(gpu(reset_status=1)),
    "TD-GPU-017": sample(gpu(compute_mode="prohibited")),
    "TD-MEM-011": sample(gpu(remap_failure=1)),
    "TD-MEM-016": sample(gpu(unrepairable_memory=1)),
    "TD-MEM-018": sample(gpu(**RETIRED)),
}


def test_every_sure_rule_is_a_critical_one() -> None:
    critical = {check.id for check in CHECKS if check.severity.value == "critical"}
    assert set(SURE) == set(PROVEN) <= critical


@pytest.mark.parametrize("rule", PROVEN)
def test_what_the_driver_itself_proves_drains(rule: str) -> None:
    word, line = _gate.judged(PROVEN[rule], Settings())
    assert (word, rule in line) == (gate.DRAIN, True), line


DOUBTFUL: dict[str, Sample] = {
    "the driver is slow to answer": sample(gpu(state="hung")),
    "the driver is denied to us": sample(
        driver=Absent(state=CellState.PERMISSION, why="no permission", code=4), driver_state="denied", hardware=2
    ),
    "its library is not where we look": sample(
        driver=Absent(state=CellState.ERROR, why="no library", code=12), driver_state="no library", hardware=2
    ),
    "a container shows one GPU of eight": sample(gpu(), hardware=8, device_nodes=1),
    "our environment names no GPU": sample(gpu(), host=host(visible_devices="7")),
    "a fault in the log that may be mended": sample(gpu(), events=(xid(79),)),
    "a recovery action that nobody knows": sample(gpu(recovery_action=6)),
    "a power reading that cannot be": sample(gpu(power_w=9000.0, name="NVIDIA GB200")),
    "the last job left the disk full": sample(
        gpu(), host=host(disks=(DiskSample(path="/tmp", total_bytes=1 << 30, used_bytes=1 << 30),))
    ),
    "the last job left no file handle": sample(gpu(), host=host(files_open=100, files_max=100)),
}


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_what_is_critical_but_not_sure_is_a_line_and_drains_nothing(doubt: str) -> None:
    word, line = _gate.judged(DOUBTFUL[doubt], Settings())
    assert (word, "not sure enough to drain" in line) == ("unsure", True), line


SILENT: dict[str, Sample] = {
    "a driver that does not open": sample(driver_state="opening the driver"),
    "a sampler that died": sample(driver_state="the sampler died: signal 9"),
    "a GPU that is not read yet": sample(gpu(), GpuSample(index=1, uuid="GPU-1", bus_id="0:1", state="starting")),
}


@pytest.mark.parametrize("silent", SILENT)
def test_silence_is_no_approval(silent: str) -> None:
    word, line = _gate.judged(SILENT[silent], Settings())
    assert (word, line.startswith("not judged: ")) == ("unsure", True), line


def test_what_cannot_be_read_is_told_and_drains_nothing() -> None:
    word, line = _gate.judged(sample(gpu(remap_failure=Absent(state=CellState.PERMISSION, why="perm"))), Settings())
    assert (word, "unreadable" in line) == ("unsure", True)


# --- the program -------------------------------------------------------------------------------------------------


def test_a_lost_gpu_drains_through_a_real_sampler(driver: FakeDriver, bench: Bench) -> None:
    driver.gpus(4)
    driver.rules("1:*:15")
    bench.patch.setattr(_gate, "GPUS_S", 30.0)
    assert bench.code() == 1
    assert "TD-GPU-003 GPU 1" in bench.said(1)


def test_the_program_goes_by_the_gate_before_anything_can_fail(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise ImportError('a half of an upgrade')")
    environ = environment(tmp_path)
    environ["PYTHONPATH"] = f"{tmp_path}:{environ['PYTHONPATH']}"
    said = torchdoctor(tmp_path, *PROLOG, environ=environ)
    assert (said.code, said.out, len(said.lines)) == (0, "", 1)
    assert "not judged" in said.lines[0]


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (PROLOG, True),
        (("check", "--gate=prolog"), True),
        (("--read-only", "check", "--gate", "prolog"), True),
        (("check", "env"), False),
        (("launch", "--", "check.py", "--gate"), False),
        (("capture", "--", "check", "--gate"), False),
    ],
)
def test_only_the_check_has_a_gate(words: Sequence[str], ours: bool) -> None:
    assert gate.wanted(words) is ours
