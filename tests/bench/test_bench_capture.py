"""What capturing costs a program that compiles, interleaved with and without, cold caches: at most 5 % of wall time.

For each program and set of switches it prints quartiles over pairs: by how much the command itself takes longer (as
`end.json` has it), the whole with the start of torchdoctor, and the CPU seconds of all processes, which a busy machine
disturbs less. TORCHDOCTOR_BENCH_ROUNDS says how many pairs (5), TORCHDOCTOR_BENCH_SWITCHES which sets (default).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from cli_process import command, environment  # pyright: ignore[reportMissingImports]

pytestmark = [pytest.mark.bench, pytest.mark.compiles]

ROUNDS = int(os.environ.get("TORCHDOCTOR_BENCH_ROUNDS", "5"))
SETS = os.environ.get("TORCHDOCTOR_BENCH_SWITCHES", "default").split("+")

MLP = """
import torch
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.GELU(), torch.nn.Linear(128, 8))
step = torch.compile(model)
for size in (16, 24):
    step(torch.randn(size, 64)).sum().backward()
"""

BLOCK = """
import torch
layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
step = torch.compile(layer)
for size in (8, 12):
    step(torch.randn(2, size, 64)).sum().backward()
"""

PROGRAMS = {"mlp": MLP, "block": BLOCK}


@dataclass(frozen=True)
class Cost:
    """Seconds of one run: the command's own, the whole, and of the CPU."""

    command: float
    whole: float
    cpu: float


def _run(argv: list[str], folder: Path) -> tuple[float, float]:
    """(wall, CPU) seconds of a command and all that it waited for, its compile caches empty."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    environ = environment(folder, TORCHINDUCTOR_CACHE_DIR=f"{folder}/cache", TMPDIR=str(folder))
    begun = time.monotonic()
    process = subprocess.Popen(argv, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.monotonic() - begun, used.ru_utime + used.ru_stime


def _without(folder: Path) -> Cost:
    wall, cpu = _run([sys.executable, "program.py"], folder)
    return Cost(wall, wall, cpu)


def _captured(folder: Path, switches: str) -> Cost:
    shutil.rmtree(folder / "state", ignore_errors=True)
    wall, cpu = _run(command("capture", "--switches", switches, "--", sys.executable, "program.py"), folder)
    (end,) = (folder / "state" / "runs").glob("*/capture/end.json")
    assert list(end.parent.glob("trace/dedicated_log_torch_trace_*.log")), "it was traced"
    return Cost(json.loads(end.read_bytes())["seconds"], wall, cpu)


def _told(name: str, ratios: list[float]) -> None:
    low, middle, high = statistics.quantiles([100 * (ratio - 1) for ratio in ratios], n=4)
    print(f"  {name:22} {middle:+6.1f} %   (quartiles {low:+.1f} … {high:+.1f})")


@pytest.mark.parametrize("switches", SETS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_capturing_costs(tmp_path: Path, name: str, switches: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAMS[name])
    _without(tmp_path)  # the files of torch come from memory for both
    pairs = []
    for number in range(ROUNDS):
        if number % 2:
            captured, plain = _captured(tmp_path, switches), _without(tmp_path)
        else:
            plain, captured = _without(tmp_path), _captured(tmp_path, switches)
        pairs.append((plain, captured))
    alone = statistics.median(plain.command for plain, _ in pairs)
    print(f"\n{name}, --switches {switches}, {ROUNDS} pairs, {alone:.1f} s alone")
    _told("the command, wall", [captured.command / plain.command for plain, captured in pairs])
    _told("with our start, wall", [captured.whole / plain.whole for plain, captured in pairs])
    _told("CPU of all processes", [captured.cpu / plain.cpu for plain, captured in pairs])
    assert len(pairs) == ROUNDS
