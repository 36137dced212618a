"""What the console's process loads: contracts, the same on every machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NEVER = ("torch", "pynvml", "numpy", "pandas", "psutil")
MODULES, THIRD_PARTY = 520, 420

PROGRAM = """
import asyncio, json, sys
from torchdoctor.app import TorchDoctor
from torchdoctor.settings import Settings
from torchdoctor.terminal import Capabilities
from fakes import World

async def main():
    app = TorchDoctor(Settings(), Capabilities(False, False, False, True, 5.0), {engines})
    async with app.run_test(size=(80, 24)) as pilot:
        frame = sorted(sys.modules)
        {work}
    print(json.dumps([frame, sorted(sys.modules)]))

asyncio.run(main())
"""


def _modules(engines: str, work: str, tmp_path: Path) -> list[list[str]]:
    """[modules after the first frame, modules at the end] of a console in a process of its own."""
    path = [str(ROOT / name) for name in ("tui", "probes", "tests/tui")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "TORCHDOCTOR_STATE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(engines=engines, work=work)], env=environ, capture_output=True, text=True,
        timeout=120, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _third_party(names: list[str]) -> list[str]:
    return [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]


def test_the_whole_console_stays_small_and_never_loads_what_can_take_it_down(tmp_path: Path) -> None:
    """With the real machine half, and all panes opened."""
    work = """
        for _ in range(400):
            await pilot.pause(0.05)
            if app.sources._engines is not None or app.sources.snapshot().sampler: break
        assert app.sources._engines is not None, app.sources.snapshot().sampler
        for digit in "12345":
            await pilot.press(digit)
    """
    frame, end = _modules("__import__('torchdoctor.later').later.engines", work, tmp_path)
    for name in NEVER:
        assert name not in end
    assert len(end) <= MODULES, len(end)
    assert len(_third_party(end)) <= THIRD_PARTY, len(_third_party(end))
    assert len(frame) < len(end)


def test_the_first_frame_loads_the_visible_pane_only(tmp_path: Path) -> None:
    frame, end = _modules("World().engines", "await pilot.press('2')", tmp_path)
    ours = {name for name in frame if name.startswith(("torchdoctor", "torchprobes"))}
    assert "torchdoctor.panes.gpus" in ours
    late_ones = "panes.probes panes.jobs panes.logs panes.report engines palette dialogs journal"
    for late in late_ones.split():
        assert f"torchdoctor.{late}" not in ours
    assert not {name for name in ours if name.startswith(("torchprobes.runner", "torchprobes.telemetry"))}
    assert "torchdoctor.panes.probes" in end


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
