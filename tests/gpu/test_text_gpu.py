"""What only a GPU makes torch say in words: skips at run time, AUTOTUNE tables, a kernel that aborts; `-m gpu`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchprobes.compilelog.events import Autotuned, CudagraphSkip, Event, Uncaught
from torchprobes.compilelog.text import TextReader

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
"""
TUNED = """
import torch
@torch.compile(mode="max-autotune-no-cudagraphs")
def step(a, b):
    return a @ b
step(torch.randn(512, 512, device="cuda", dtype=torch.half), torch.randn(512, 512, device="cuda", dtype=torch.half))
"""
OVERWRITTEN = """
import torch
step = torch.compile(lambda x: x * 2, mode="reduce-overhead")
kept = [step(torch.randn(64, device="cuda")) for _ in range(5)]
print(sum(float(one.sum()) for one in kept))
"""


def said(home: Path, program: str) -> list[Event]:
    (home / "program.py").write_text(program)
    caches = {"TORCHINDUCTOR_CACHE_DIR": f"{home}/cache", "TRITON_CACHE_DIR": f"{home}/triton"}
    run = subprocess.run(
        [sys.executable, "program.py"], cwd=home, env={**os.environ, **caches}, stderr=subprocess.PIPE, timeout=400
    )
    reader = TextReader("stderr.log")
    return reader.feed(run.stderr) + reader.finish()


def test_a_skip_at_run_time_is_told_with_its_line(tmp_path: Path) -> None:
    skips = [event for event in said(tmp_path, MUTATED) if isinstance(event, CudagraphSkip)]
    assert {event.kind for event in skips} == {"mutated inputs"}
    assert {event.at.line for event in skips if event.at} == {5}


def test_autotune_tables(tmp_path: Path) -> None:
    events = said(tmp_path, TUNED)
    tables = [event for event in events if isinstance(event, Autotuned)]
    assert [table.op for table in tables] == ["mm"]
    assert len(tables[0].choices) > 1
    assert tables[0].seconds
    assert not [event for event in events if isinstance(event, Uncaught)]


def test_an_output_that_was_overwritten_ends_the_program(tmp_path: Path) -> None:
    ends = [event for event in said(tmp_path, OVERWRITTEN) if isinstance(event, Uncaught)]
    assert [event.type for event in ends] == ["RuntimeError"]
    assert "accessing tensor output of CUDAGraphs that has been overwritten" in ends[0].reason
