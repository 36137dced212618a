"""The first row of a GPU in the console against the first frame of a bare Textual app, on a real terminal.

Eight GPUs of the fake driver. It prints by how much the row comes later; the goal is at most 0.15 s. It never fails on
time: that is what the machine beside us decides.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tui"))
sys.path.insert(0, str(Path(__file__).parents[1] / "telemetry"))

import c_library  # pyright: ignore[reportMissingImports]
from terminal_process import CONSOLE, Terminal  # pyright: ignore[reportMissingImports]
from test_bench_first_frame import BARE  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.bench

ROUNDS = 11
ROW = b"Fake 7"
"""The name that the fake driver gives to its last GPU."""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Eight GPUs."""
    c_library.build(c_library.NVML, tmp_path / "libnvidia-ml.so.1", otherwise="there is no fake driver")
    return {
        "LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML_GPUS": "8", "TORCHDOCTOR_STATE": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }  # fmt: skip


def _seconds(command: tuple[str, ...], mark: bytes, environ: dict[str, str]) -> float:
    with Terminal(command, (200, 50), environ) as terminal:
        return terminal.until(lambda: mark in terminal.raw)


def test_first_row_against_the_first_frame_of_a_bare_app(environ: dict[str, str]) -> None:
    bare = (sys.executable, "-c", BARE)
    pairs = [(_seconds(bare, b"READY-MARK", environ), _seconds(CONSOLE, ROW, environ)) for _ in range(ROUNDS)]
    later = [ours - base for base, ours in pairs]
    base, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
    low, middle, high = statistics.quantiles(later, n=4)
    print(f"\nbare first frame {base * 1e3:.0f} ms, first GPU row {ours * 1e3:.0f} ms")
    print(f"later by, quartiles of pairs: {low * 1e3:.0f} {middle * 1e3:.0f} {high * 1e3:.0f} ms")
    assert min(ours, base) > 0
