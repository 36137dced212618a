"""What the console's process loads: contracts, the same on every machine."""

from __future__ import annotations

import json
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from terminal_process import Terminal

ROOT = Path(__file__).parents[2]
NEVER = ("torch", "pynvml", "numpy", "pandas", "psutil")
START, MODULES, THIRD_PARTY = 490, 600, 420
"""Modules at the first frame and with all panes opened, and how many of those are others'.

The Logs pane has some seventy of its own: it explains, reads, searches, merges and compares.
"""

PROGRAM = """
import asyncio, json, sys
from torchdoctor.app import TorchDoctor
begin = TorchDoctor._begin

async def drive(app):
    frame = sorted(sys.modules)
    begin(app)
    while {wait} and not (app.sources.snapshot().target and app.sources.snapshot().sample):
        await asyncio.sleep(0.02)
    for name in {panes}:
        await app.action_pane(name)
    with open({out!r}, "w") as file:
        json.dump([frame, sorted(sys.modules)], file)
    app.leave(0)

TorchDoctor._begin = lambda app: app.call_later(drive, app)
sys.argv = ["torchdoctor"]
from torchdoctor.__main__ import main
main()
"""


def _modules(tmp_path: Path, panes: tuple[str, ...], *, wait: bool) -> tuple[list[str], list[str]]:
    """(modules at the first frame, modules at the end) of the real console, opened on a real terminal."""
    out = tmp_path / "modules.json"
    program = PROGRAM.format(wait=wait, panes=panes, out=str(out))
    environ = {"TORCHDOCTOR_STATE": str(tmp_path), "TORCHDOCTOR_PYTHON": sys.executable}
    with Terminal([sys.executable, "-c", program], environ=environ) as screen:
        code, _ = screen.end()
    assert code == 0, screen.text
    frame, end = json.loads(out.read_text())
    return frame, end


def _third_party(names: list[str]) -> list[str]:
    return [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]


def test_the_whole_console_stays_small_and_never_loads_what_can_take_it_down(tmp_path: Path) -> None:
    """With sampler, target and report found, and all panes opened."""
    frame, end = _modules(tmp_path, ("gpus", "probes", "jobs", "logs", "report"), wait=True)
    for name in NEVER:
        assert name not in end
    assert len(end) <= MODULES
    assert len(_third_party(end)) <= THIRD_PARTY
    assert len(frame) <= START


def test_the_first_frame_loads_the_visible_pane_only(tmp_path: Path) -> None:
    frame, end = _modules(tmp_path, ("probes",), wait=False)
    ours = {name for name in frame if name.startswith(("torchdoctor", "torchprobes"))}
    assert "torchdoctor.panes.gpus" in ours
    late_ones = "panes.probes panes.jobs panes.logs panes.report engines checks palette dialogs journal"
    for late in late_ones.split():
        assert f"torchdoctor.{late}" not in ours
    assert not {name for name in ours if name.startswith(("torchprobes.runner", "torchprobes.telemetry"))}
    assert "torchdoctor.panes.probes" in end


def test_runner_and_judge_are_loaded_by_the_first_check(tmp_path: Path) -> None:
    _, end = _modules(tmp_path, ("probes", "report"), wait=True)
    assert not {name for name in end if name.startswith(("torchprobes.judge", "torchprobes.runner.check"))}


@pytest.mark.parametrize("word", ["thread=True", "run_worker(", "call_from_thread("])
def test_no_thread_workers(word: str) -> None:
    """Textual's thread workers share a small pool, and quitting waits for them."""
    files = [*(ROOT / "tui" / "torchdoctor").rglob("*.py")]
    assert len(files) > 20
    assert not [str(path) for path in files if word in path.read_text()]


def test_every_size_limit_of_the_code_holds() -> None:
    import ast

    long: list[Any] = []
    for path in [*(ROOT / "tui" / "torchdoctor").rglob("*.py")]:
        text = path.read_text()
        limit = 200 if path.name == "app.py" else 400
        if len(text.splitlines()) >= limit:
            long.append((path.name, len(text.splitlines())))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > 60:
                    long.append((path.name, node.name, lines))
    assert not long


def test_the_stdlib_is_told_from_the_rest() -> None:
    assert sysconfig.get_paths()["stdlib"]
    assert _third_party(["os.path", "textual.app", "torchdoctor"]) == ["textual.app", "torchdoctor"]
