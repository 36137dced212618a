"""1,000 reports compared in the real console on a pseudo terminal: until they are on screen, and keys after that.

Printed, never judged by a clock. `pytest -s -m bench tests/bench/test_bench_report_pane.py`; on a busy machine, as
root, `chrt -r 1 pytest …`.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import msgspec
import pytest
from bench_terminal import CONSOLE, Pty

sys.path.append(str(Path(__file__).parents[1] / "reports"))

import planted

from torchprobes.reports.redaction import Redactor

NODES = 1_000


def fleet(folder: Path) -> None:
    """A thousand nodes of one kind, masked as a fleet leaves them; one in 250 has a quota."""
    good, bad = planted.real("cpu"), planted.pair("CPU quota")[1]
    folder.mkdir()
    for number in range(NODES):
        report = planted.noisy(bad if number % 250 == 7 else good, number)
        machine = msgspec.structs.replace(report.machine, host=f"node-{number:04}")
        report = Redactor("internal").report(msgspec.structs.replace(report, machine=machine))
        (folder / f"node-{number:04}.json").write_bytes(msgspec.json.encode(report))


def key_times(screen: Pty, rounds: int, keys: tuple[tuple[str, bytes], ...]) -> list[float]:
    """Seconds from a key to the bytes that show what it did."""
    times = []
    for _ in range(rounds):
        for key, shows in keys:
            times.append(screen.answer(key, shows))
            screen.rest(0.08)
    return sorted(times)


def told(what: str, times: list[float]) -> str:
    p95 = times[int(0.95 * (len(times) - 1))]
    return f"  {what:28} median {statistics.median(times) * 1e3:5.0f} ms, p95 {p95 * 1e3:5.0f} ms, n {len(times)}"


@pytest.mark.bench
def test_a_thousand_nodes_on_screen(tmp_path: Path) -> None:
    fleet(tmp_path / "nodes")
    with Pty(CONSOLE, (200, 50), {"TORCHDOCTOR_STATE": str(tmp_path / "state")}) as screen:
        screen.rest(3)
        screen.answer("5", rb"no check has been run")
        screen.answer("h", rb"history")
        screen.rest(1)
        screen.send("o")
        screen.rest(1)
        screen.send(f"{tmp_path / 'nodes'}\r")
        screen.until(b"node-0000")
        screen.rest(2)
        screen.send("*")
        screen.rest(0.5)
        start = time.perf_counter()
        screen.send("d")
        screen.until(b"platforms compared")
        print(f"\n  {NODES} compared on screen after {time.perf_counter() - start:.1f} s")
        screen.rest(1)
        keys = (("\x1b[C", rb"node-0157"), ("\x1b[D", rb"node-0000"))
        print(told("columns, right and left", key_times(screen, 20, keys)))
        screen.send("v")
        screen.rest(1)
        screen.send("s")
        screen.rest(1)
        keys = (("G", rb"node-0999"), ("g", rb"node-0000"), ("\x04", rb"node-00[4-9]\d"))
        print(told("nodes, g, G and a screenful", key_times(screen, 20, keys)))
