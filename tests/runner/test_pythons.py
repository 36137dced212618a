"""Targets of other Pythons: every file that runs there compiles there, and what needs no torch answers there.

Interpreters are those of TORCHDOCTOR_TEST_PYTHONS (paths, with colons between) and of `python3.8` … on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import DEADLINE_S

import torchprobes
from torchprobes import rundir
from torchprobes.catalogue import PROBES
from torchprobes.model import Result, Target, Verdict
from torchprobes.runner.check import Check, Options
from torchprobes.runner.command import PLAIN
from torchprobes.runner.order import PAYLOADS, SHARED

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
HOME = Path(torchprobes.__file__).parent
FILES = [*sorted(PAYLOADS.glob("*.py")), *(HOME / name for name in SHARED), HOME / "runner/processes.py"]
BARE = [row for row in PROBES if row.bare]
COMPILE = "import sys\nfor path in sys.argv[1:]: compile(open(path, encoding='utf-8').read(), path, 'exec')"


def _version(python: str) -> str:
    """The version of an interpreter that is there and runs, "" of one that does not (a pyenv shim, say)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _found() -> dict[str, str]:
    """Version -> interpreter, of those that are here."""
    named = os.environ.get("TORCHDOCTOR_TEST_PYTHONS", "").split(os.pathsep)
    on_path = [shutil.which(f"python{version}") or "" for version in VERSIONS]
    return {version: python for python in filter(None, [*on_path, *named]) if (version := _version(python))}


PYTHONS = _found()


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    if request.param not in PYTHONS:
        pytest.skip(f"Python {request.param} is not here: name one in TORCHDOCTOR_TEST_PYTHONS")
    return PYTHONS[request.param]


def test_what_runs_in_the_target_compiles_there(python: str) -> None:
    argv = [python, "-I", "-W", "error::SyntaxWarning", "-c", COMPILE, *map(str, FILES)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr


def _checked(place: Path, target: Target, names: list[str]) -> dict[str, Result]:
    rows = [row for row in PROBES if row.name in names]
    run = rundir.create(place, "check", target=target, probes=tuple(row.name for row in rows))
    check = Check(run, target, rows, Options(device="cpu"), PLAIN)
    check.start()
    assert check.wait(2 * DEADLINE_S), check.view()
    return {view.name: view.result for view in check.view().probes if view.result is not None}


def test_what_needs_no_torch_has_a_verdict_there(tmp_path: Path, python: str) -> None:
    """In an environment without torch, from the bare starter; and what needs torch says that there is none."""
    names = [row.name for row in BARE] + ["env.abi", "export.signature"]
    results = _checked(tmp_path, Target(python=python, torch=None), names)
    assert set(results) == set(names)
    broken = {name: result.reason for name, result in results.items() if result.verdict is Verdict.ERROR}
    assert broken.keys() <= {"env.abi", "export.signature"}, broken
    assert all("No module named 'torch'" in reason for reason in broken.values()), broken
    starts = {e.text for name in names[:3] for e in results[name].evidence if e.kind == "start"}
    assert starts == {"forked from an interpreter that was there already"}


def test_behind_a_launcher_prefix_too(tmp_path: Path, python: str) -> None:
    result = _checked(tmp_path, Target(python=python, prefix=("env",), torch=""), ["env.python"])["env.python"]
    assert result.verdict is not Verdict.ERROR, result.reason
