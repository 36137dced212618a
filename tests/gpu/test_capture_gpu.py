"""A capture of compiled programs on a real GPU: what only a GPU can say reaches the explanation; by hand, `-m gpu`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cli"))

from cli_process import environment, torchdoctor  # pyright: ignore[reportMissingImports]

pytestmark = [pytest.mark.gpu, pytest.mark.compiles]

MUTATED = """
import torch
@torch.compile(mode="reduce-overhead")
def step(x):
    x.add_(1)
    return x * 2
with torch.no_grad():
    for _ in range(4):
        step(torch.randn(64, device="cuda"))
torch.cuda.synchronize()
"""

SOUND = """
import torch
model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU()).cuda()
step = torch.compile(model, mode="reduce-overhead")
with torch.no_grad():
    for _ in range(4):
        torch.compiler.cudagraph_mark_step_begin()
        step(torch.randn(8, 64, device="cuda"))
torch.cuda.synchronize()
"""

ABORTS = """
import os, torch
torch.compile(lambda x: x + 1)(torch.randn(8, device="cuda"))
torch.cuda.synchronize()
os.abort()
"""


def captured(home: Path, program: str, *options: str) -> dict[str, Any]:
    """The document of a capture of `program`, its compile caches empty."""
    (home / "program.py").write_text(program)
    names = ("LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "CC", "CXX")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    environ = environment(home, TORCHINDUCTOR_CACHE_DIR=f"{home}/cache", TRITON_CACHE_DIR=f"{home}/triton", **kept)
    said = torchdoctor(
        home, "capture", *options, "--json", "document.json", "--", sys.executable, "program.py",
        environ=environ, timeout=400,
    )  # fmt: skip
    told: dict[str, Any] = json.loads((home / "document.json").read_bytes())
    assert said.code == (told["exit_code"] if told["signal"] is None else 134), said.err[-3000:]
    return told


def test_a_skip_of_cuda_graphs_that_only_stderr_tells_is_explained(tmp_path: Path) -> None:
    told = captured(tmp_path, MUTATED)
    (skip,) = told["explanation"]["cudagraph_skips"]
    assert "mutated inputs" in skip["kind"]


def test_a_sound_program_raises_nothing(tmp_path: Path) -> None:
    explanation = captured(tmp_path, SOUND)["explanation"]
    for name in ("cudagraph_skips", "graph_breaks", "recompiles", "recompile_limit_hits", "suppressed_errors"):
        assert explanation[name] == [], name
    assert explanation["fatal_error"] is None
    assert explanation["graphs"] == 1


def test_the_debug_flag_and_the_trace_write_nothing_twice(tmp_path: Path) -> None:
    told = captured(tmp_path, SOUND, "--switches", "debug")
    folder = Path(told["run"]) / "capture"
    traces = list(folder.rglob("dedicated_log_torch_trace_*.log"))
    assert [path.parent.name for path in traces] == ["trace"]
    assert len(list(folder.rglob("output_code.py"))) == told["explanation"]["graphs"] == 1


def test_an_abort_of_the_program_is_told_as_its_signal(tmp_path: Path) -> None:
    told = captured(tmp_path, ABORTS)
    assert (told["exit_code"], told["signal"]) == (None, "SIGABRT")
    assert told["explanation"]["killed_by"] == "SIGABRT"
