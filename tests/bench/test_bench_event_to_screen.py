"""From an event's bytes on disk to its words on the screen: a real console on a pseudo terminal. Printed, never judged.

`pytest -s -m bench tests/bench/test_bench_event_to_screen.py`
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "tui"), str(Path(__file__).parents[1] / "compilelog")]

from terminal_process import CONSOLE, Terminal  # noqa: E402 # pyright: ignore[reportMissingImports]
from trace_files import record  # noqa: E402 # pyright: ignore[reportMissingImports]

EVENTS = 40


@pytest.mark.bench
@pytest.mark.parametrize("colour", ["colour", "NO_COLOR"])
def test_a_break_is_on_the_screen_soon_after_it_is_on_disk(tmp_path: Path, colour: str) -> None:
    trace = tmp_path / "dedicated_log_torch_trace_abcdefgh.log"
    late: list[float] = []
    environ = {"TORCHDOCTOR_STATE": str(tmp_path), "TORCHDOCTOR_PYTHON": "/bin/false"}
    environ |= {"NO_COLOR": "1"} if colour == "NO_COLOR" else {}
    with trace.open("wb", buffering=0) as file:
        file.write(record("torch_version", payload="2.13.0", compile_id=None))
        file.write(record("dynamo_start", {"stack": [{"line": 5, "name": "f", "filename": 0}]}))
        with Terminal([*CONSOLE, "logs", str(tmp_path)], (120, 40), environ) as console:
            console.until("compiling", 60)
            for number in range(EVENTS):
                words = f"Graph break in user code at /w/f{number}.py:9\nGraph Break Reason: kind {number}\n"
                file.write(record("dynamo_graph_break_reason", payload=words, compile_id=(number, 0)))
                begun = time.monotonic()
                console.until(lambda told=f" {number + 1} distinct": told in console.text)  # type: ignore[misc]
                late.append(time.monotonic() - begun)
                pause = time.monotonic() + 0.1 + number % 7 / 35  # at any moment of the console's beat
                while time.monotonic() < pause:
                    console.read(0.01)
    late.sort()
    shown = ", ".join(
        f"{name} {late[int(len(late) * part)] * 1e3:.0f} ms" for name, part in (("p50", 0.5), ("p90", 0.9))
    )
    print(f"\n{colour}: {EVENTS} graph breaks, {shown}, the slowest {late[-1] * 1e3:.0f} ms")
    assert len(late) == EVENTS
