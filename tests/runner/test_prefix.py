"""Behind a launcher prefix: program and lifeline over stdin, events over stdout, and nothing of ours on its disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE_S, FAULTS, lenient

from torchprobes import rundir
from torchprobes.catalogue import Probe
from torchprobes.model import Result, Target, Tier, Verdict
from torchprobes.runner.check import Check, Options
from torchprobes.runner.command import Command, Plan

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--mount-proc")
OPTIONS = Options(device="cpu", slots=2, grace_s=0.3, kill_s=3.0, import_limit_s=20.0)


def may_unshare() -> bool:
    try:
        return subprocess.run([*NAMESPACES, "true"], capture_output=True, timeout=20, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(params=["plain", "namespaces", "foreign proc"])
def prefix(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """A launcher that changes nothing but the environment, one with its own mounts and pids, one without its /proc."""
    if request.param == "plain":
        return ("env", "-u", "HOME")
    if not may_unshare():
        pytest.skip("LOUD: namespaces of our own are not permitted here")
    # With the outer /proc still in place, pids read there name other processes: none of them may be touched.
    return NAMESPACES if request.param == "namespaces" else NAMESPACES[:-1]


def faulty(_probe: Probe, _target: Target, request: Mapping[str, Any], plan: Plan) -> Command:
    """`faults.py` travels as an argument, because it is no payload of the package."""
    program = FAULTS.read_text()
    write = f"import sys,runpy; open('f.py','w').write({program!r}); sys.argv=['b','f.py']; "
    return Command(argv=(plan.python, "-B", "-c", write + f"runpy.run_path({plan.bootstrap!r}, run_name='__main__')"))


def run(tmp_path: Path, prefix: tuple[str, ...], fault: str, limit_s: float = 30.0, *, cancel: bool = False) -> Result:
    row = Probe(f"fault.{fault}", Tier.QUICK, "Does it end?", "faults", limit_s, {"fault": fault})
    target = Target(python=sys.executable, prefix=prefix, torch="")
    made = rundir.create(tmp_path, "check", target=target, probes=(row.name,))
    check = Check(made, target, [row], OPTIONS, {"plain": faulty}, judge=lenient)
    check.start()
    deadline = time.monotonic() + DEADLINE_S
    while cancel and check.view().probes[0].state.value != "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if cancel:
        check.cancel()
    assert check.wait(DEADLINE_S), check.view()
    result = check.view().probes[0].result
    assert result is not None
    return result


def sleepers() -> list[str]:
    """Processes anywhere on this machine whose program is ours and that still sleep."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if b"fault" in command and b"leaves_daemon" in command:
            found.append(name)
    return found


def test_events_and_figures_come_back(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    result = run(tmp_path, prefix, "sound")
    assert result.verdict is Verdict.PASS, result
    assert [(f.name, f.value) for f in result.figures] == [("answer", 42.0)]


@pytest.mark.parametrize(
    ("fault", "words", "limit_s"),
    [
        ("raises", "bad batch", 30.0),
        ("exits_3", "exited with 3", 30.0),
        ("segfaults", "SIGSEGV", 30.0),
        ("hangs", "limit", 1.0),
        ("broken_json", "could not be read", 30.0),
        ("leaves_daemon", "outlived the probe", 30.0),
    ],
)
def test_faults_are_told_from_over_there(
    tmp_path: Path, prefix: tuple[str, ...], fault: str, words: str, limit_s: float
) -> None:
    result = run(tmp_path, prefix, fault, limit_s)
    assert result.verdict is Verdict.ERROR
    assert words in result.reason
    assert sleepers() == []


def test_cancelling_reaches_over_there(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    assert run(tmp_path, prefix, "hangs", cancel=True).reason.startswith("cancelled")
    assert sleepers() == []


@pytest.mark.parametrize("prefix_words", [("false",), ("sh", "-c", "echo no such container >&2; exit 125"), ("/nope",)])
def test_a_launcher_that_fails_is_told_with_its_words(tmp_path: Path, prefix_words: tuple[str, ...]) -> None:
    result = run(tmp_path, prefix_words, "sound")
    assert result.verdict is Verdict.ERROR
    assert result.reason
    if prefix_words[0] == "sh":
        assert any("no such container" in e.text for e in result.evidence)
