"""How much a start costs: a count that is gated, and ratios to a bare interpreter that are printed (`-m bench -s`)."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRON = {
    **os.environ,
    "HOME": "/nonexistent",
    "PYTHONPATH": os.pathsep.join([str(ROOT / "tui"), str(ROOT / "probes")]),
}

COMMANDS = (["--version"], ["list", "--json"], ["explain", "TD-CMP-001"], ["check", "--help"])
TRIALS = 9

MOST_MODULES = {"--version": 12, "list": 150, "explain": 185, "check": 260}
"""Modules beyond those of a bare interpreter: somewhat more than were counted when this was written."""


def program(arguments: list[str], after: str = "") -> list[str]:
    text = f"import sys; sys.argv[1:] = {arguments!r}; from torchdoctor.__main__ import main\n"
    text += "try: main()\nexcept SystemExit as end: assert not end.code, end\n"
    return [sys.executable, "-B", "-c", text + after]


def modules(command: list[str]) -> int:
    done = subprocess.run(command, env=ENVIRON, cwd="/", capture_output=True, text=True, timeout=60, check=True)
    return int(done.stderr.split()[-1])


def cpu_seconds(command: list[str]) -> float:
    """CPU time of the cheapest of some trials: what the others cost more is somebody else's."""
    costs = []
    for _ in range(TRIALS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=ENVIRON, cwd="/", stdout=subprocess.DEVNULL, timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(costs)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_start_loads_few_modules(arguments: list[str]) -> None:
    count = "sys.stderr.write(str(len(sys.modules)))"
    bare = modules([sys.executable, "-B", "-c", f"import sys; {count}"])
    assert modules(program(arguments, count)) - bare <= MOST_MODULES[arguments[0]]


@pytest.mark.bench
def test_cpu_of_a_start_beside_a_bare_interpreter() -> None:
    bare = cpu_seconds([sys.executable, "-B", "-c", "pass"])
    print(f"\nbare interpreter: {1000 * bare:.0f} ms of CPU")
    for arguments in COMMANDS:
        cost = cpu_seconds(program(arguments))
        print(f"{' '.join(arguments):20} {1000 * cost:.0f} ms of CPU, {cost / bare:.1f} times bare")
        assert cost > 0
