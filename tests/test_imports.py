"""Who may load what: the import contracts, and the modules that a process really has."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "tui", ROOT / "probes"]
SCREEN = {"textual", "rich"}
CHILDREN_ONLY = {"torch", "numpy", "pynvml", "psutil"}

HEADLESS = (
    ["--version"],
    ["--help"],
    ["list", "--json"],
    ["check", "--help"],
    ["explain", "TD-NONE-000"],
    ["runs", "list"],
    ["report", "no-such-run"],
    ["status"],
    ["gpus", "--json"],
    ["gpus"],
    ["record", "--unit"],
    ["record", "recording", "--for", "1s"],
    ["replay", "/nonexistent"],
    ["diagnose", "--at", "-5m"],
    ["snapshot", "--json"],
    ["release", "--read-only"],
    ["launch", "--skip-preflight", "--", "no-such.py"],
    ["jobs", "--json"],
    ["attach", "1"],
    ["diagnose", "1"],
    ["stop", "no-such-run"],
    ["env", "--diagnosable"],
    ["check", "no.such.probe"],
    ["capture", "--switches", "trace", "--", "true"],
)


def loaded_by(arguments: list[str], home: Path) -> set[str]:
    """The top-level modules of the process of one command, told by itself as it ends."""
    program = (
        "import atexit, sys\n"
        "tops = lambda: ' '.join({name.partition('.')[0] for name in sys.modules})\n"
        "atexit.register(lambda: sys.__stderr__.write('LOADED ' + tops()))\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "from torchdoctor.__main__ import main\n"
        "main()\n"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, SOURCES)),
        "HOME": str(home),
        "TORCHDOCTOR_STATE": str(home / "state"),
    }
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, env=environ, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert "internal error" not in done.stderr, done.stderr
    return set(done.stderr.rpartition("LOADED ")[2].split())


@pytest.mark.parametrize("arguments", HEADLESS, ids=" ".join)
def test_a_headless_command_loads_no_screen_and_nothing_that_could_hang(arguments: list[str], tmp_path: Path) -> None:
    loaded = loaded_by(arguments, tmp_path)
    assert "torchprobes" in loaded
    assert not loaded & (SCREEN | CHILDREN_ONLY)


def test_version_loads_nothing_but_itself(tmp_path: Path) -> None:
    assert not loaded_by(["--version"], tmp_path) & {"click", "msgspec", "logging", "json", "subprocess"}


def test_the_console_loads_a_screen_but_neither_torch_nor_a_driver(tmp_path: Path) -> None:
    program = "import sys, torchdoctor.app; print(*{m.partition('.')[0] for m in sys.modules})"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, SOURCES))}
    command = [sys.executable, "-B", "-c", program]
    done = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "textual" in loaded
    assert not loaded & CHILDREN_ONLY


def test_the_import_contracts_hold() -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, SOURCES))}
    program = "import sys; from importlinter.cli import lint_imports_command as main; main()"
    command = [sys.executable, "-c", program, "--no-cache"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name; payloads are run, not imported."""
    found = {}
    for root in SOURCES:
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            if "payloads" not in parts:
                found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports_of(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """What a module imports of ours, also inside functions; under TYPE_CHECKING counts too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    said: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            said |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            said |= {base} if any(f"{base}.{a.name}" not in known for a in node.names) else set()
            said |= {f"{base}.{alias.name}" for alias in node.names}
    return said & known.keys() - {name}


def test_no_modules_import_each_other_in_a_circle_not_even_inside_functions() -> None:
    known = modules()
    graph = {name: imports_of(name, path, known) for name, path in known.items()}
    while True:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        if not free:
            break
        graph = {name: needs for name, needs in graph.items() if name not in free}
    assert not graph, f"these are in a circle, or above one: {sorted(graph)}"
