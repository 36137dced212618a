"""The console beside nvitop: one fake driver, one screen, one cadence; CPU, calls, and the answer to keys.

nvitop is looked for on PATH or in $TORCHDOCTOR_NVITOP. It prints the figures and never fails on time.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tui"))
sys.path.insert(0, str(Path(__file__).parents[1] / "telemetry"))

import c_library  # pyright: ignore[reportMissingImports]
from terminal_process import CONSOLE, Terminal  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.bench

SIZE = (200, 50)
GPUS = 8
WARM_S, BLOCK_S, BLOCKS = 8.0, 20.0, 3
MINUTE_S = 60.0
PRESSES = 40
NVITOP = os.environ.get("TORCHDOCTOR_NVITOP") or shutil.which("nvitop")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of eight fake GPUs whose readings change at every look."""
    folder = tmp_path_factory.mktemp("nvml")
    c_library.build(c_library.NVML, folder / "libnvidia-ml.so.1", otherwise="there is no fake driver to measure with")
    processes = ",".join(f"{gpu}:{os.getpid()}:{(gpu + 1) << 30}" for gpu in range(GPUS))
    return {
        "LD_LIBRARY_PATH": str(folder),
        "FAKE_NVML_GPUS": str(GPUS),
        "FAKE_NVML_WAVE": "1",
        "FAKE_NVML_PROCESSES": processes,
        "TORCHDOCTOR_STATE": str(tmp_path_factory.mktemp("state")),
    }


def nvitop() -> str:
    """The peer's program."""
    if NVITOP is None:
        pytest.skip("LOUD: no nvitop on PATH or in $TORCHDOCTOR_NVITOP to compare with")
    return NVITOP


def tree(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def cpu_s(pid: int) -> float:
    """Seconds on a core of all living threads of a process and its descendants."""
    total = 0
    for each in tree(pid):
        for task in Path(f"/proc/{each}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def drain(terminal: Terminal, seconds: float) -> None:
    """Take what a program draws, as a terminal does."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        terminal.read(min(0.1, left))


def share(terminal: Terminal, seconds: float) -> float:
    """Percent of one core over this time."""
    before, began = cpu_s(terminal.pid), time.monotonic()
    drain(terminal, seconds)
    return 100 * (cpu_s(terminal.pid) - before) / (time.monotonic() - began)


def test_console_and_child_against_nvitop(driver: Mapping[str, str]) -> None:
    theirs, ours = [], []
    with (
        Terminal((nvitop(), "--interval", "0.5"), SIZE, driver) as peer,
        Terminal((*CONSOLE, "--rate", "2"), SIZE, driver) as console,
    ):
        console.until("GPU", 30)
        drain(peer, WARM_S)
        drain(console, WARM_S)
        for _ in range(BLOCKS):
            theirs.append(share(peer, BLOCK_S))
            ours.append(share(console, BLOCK_S))
    peer_share, our_share = statistics.median(theirs), statistics.median(ours)
    print(f"\nnvitop {peer_share:.2f} % of a core {[round(x, 2) for x in theirs]}")
    print(f"console and child {our_share:.2f} % {[round(x, 2) for x in ours]}: {our_share / peer_share:.2f} x")
    assert min(peer_share, our_share) > 0


def test_calls_a_second_and_the_real_rate(driver: Mapping[str, str], tmp_path: Path) -> None:
    for name, command in (("nvitop", (nvitop(), "--interval", "0.5")), ("console", (*CONSOLE, "--rate", "2"))):
        record = tmp_path / name
        with Terminal(command, SIZE, {**driver, "FAKE_NVML_CALLS": str(record)}) as terminal:
            terminal.until("GPU", 30)
            begun, before = time.monotonic(), record.read_text().count("\n")
            drain(terminal, MINUTE_S)
            seconds = time.monotonic() - begun
            calls = Counter(line.split()[0] for line in record.read_text().splitlines())
            rate = (sum(calls.values()) - before) / seconds
        print(f"\n{name}: {rate:.0f} calls a second over {seconds:.0f} s, {calls.most_common(12)}")
        looks = calls["nvmlDeviceGetUtilizationRates"] / GPUS / seconds
        print(f"{name}: {looks:.2f} looks a second at each GPU")
        assert rate > 0


def test_a_key_is_answered_while_every_gpu_hangs(driver: Mapping[str, str]) -> None:
    hanging = {**driver, "FAKE_NVML_RULES": "*:*:hang:400"}
    waits = []
    with Terminal((*CONSOLE, "--rate", "2"), (80, 24), hanging) as terminal:
        terminal.until("hung", 40)
        for turn in range(PRESSES):
            drain(terminal, 0.15)
            seen, pressed = len(terminal.raw), time.monotonic()
            terminal.press("21"[turn % 2])
            terminal.until(lambda seen=seen: len(terminal.raw) > seen)
            waits.append(time.monotonic() - pressed)
        terminal.press("q")
        _, quitting = terminal.end()
    p95 = statistics.quantiles(waits, n=20)[-1]
    print(f"\nkey to frame with all hung: median {statistics.median(waits) * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms")
    print(f"quit {quitting * 1e3:.0f} ms")
    assert quitting < 10
