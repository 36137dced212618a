"""Behind a launcher prefix: program and lifeline over stdin, events over stdout, and nothing of ours on its disk."""

from __future__ import annotations

import os
import shlex
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
from torchprobes.runner import prefixes
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


def run(
    tmp_path: Path,
    prefix: tuple[str, ...],
    fault: str,
    limit_s: float = 30.0,
    *,
    cancel: bool = False,
    python: str = sys.executable,
) -> Result:
    row = Probe(f"fault.{fault}", Tier.QUICK, "Does it end?", "faults", limit_s, {"fault": fault})
    target = Target(python=python, prefix=prefix, torch="")
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
        if b"fault" in command and b"leaves_daemon" in command and b"pytest" not in command:  # nor a worker's title
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


# --- launchers by their shapes ----------------------------------------------------------------------------------

INSIDE = 'export HOME=/nowhere; cd /; exec "$@"'
OWN_NAMESPACES = " ".join(NAMESPACES)
SRUN = """\
shift 2; exec 3<&0; fifo=$(mktemp -u); mkfifo $fifo
tee -p >(SLURM_PROCID=1 "$@" >/dev/null) <&3 >$fifo &
SLURM_PROCID=0 "$@" <$fifo; code=$?; kill $!; rm $fifo; exit $code"""
"""Two tasks, as in an allocation of two: each has all of stdin, and srun ends with them."""

SHAPES = {
    "docker": ("exec -i -w / trainer", 'shift 5; exec "$@"'),
    "kubectl": ("exec -i trainer-0 -n jobs --", 'shift 6; exec "$@"'),
    "conda": ("run -n new", 'shift; [ "$1" = --no-capture-output ] || { echo held back; exit 9; }; shift 3; exec "$@"'),
    "ssh": ("-o BatchMode=yes node7", 'shift 3; exec sh -c "$*"'),
    "srun": ("--jobid=7 --overlap", SRUN),
    "apptainer": ("exec --nv new.sif", f"shift 3; exec {OWN_NAMESPACES} sh -c '{INSIDE}' sh \"$@\""),
    "apptainer with its own /tmp": (
        "exec --nv new.sif",
        f"shift 3; exec {OWN_NAMESPACES} sh -c 'mount -t tmpfs none /tmp; {INSIDE}' sh \"$@\"",
    ),
    "apptainer with a /tmp that is of no use": (
        "exec --nv new.sif",
        f"shift 3; exec {OWN_NAMESPACES} sh -c 'mount -t tmpfs -o ro none /tmp; unset TMPDIR; {INSIDE}' sh \"$@\"",
    ),
}
"""Name -> what a person types after it, and what stands in for it: it takes its own words away and runs the rest."""


def launcher(folder: Path, shape: str) -> tuple[str, ...]:
    """A prefix that calls a stand-in of that launcher."""
    words, script = SHAPES[shape]
    if "unshare" in script and not may_unshare():
        pytest.skip("LOUD: namespaces of our own are not permitted here")
    if "tmpfs" in script and sys.executable.startswith("/tmp/"):
        pytest.skip("LOUD: this interpreter lies below /tmp, which the launcher hides")
    program = folder / "bin" / shape.partition(" ")[0]
    program.parent.mkdir()
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    return (str(program), *words.split())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_launcher_of_each_shape_brings_program_events_and_files_through(tmp_path: Path, shape: str) -> None:
    result = run(tmp_path, launcher(tmp_path, shape), "leaves_files")
    assert result.verdict is Verdict.PASS, result
    said = {fact.name: str(fact.value) for fact in result.facts}
    (folder,) = tmp_path.glob("*/probes/*")
    assert (folder / "artifacts/a.bin").stat().st_size == 100_000
    assert (folder / "compile/torch_compile_debug/run/code.py").read_text() == "x" * 10
    assert not (folder / "compile/inductor").exists(), "caches stay where they are of use"
    assert not os.path.exists(said["place"]), "nothing of ours stays over there"
    if "apptainer" in shape:
        assert said["home"] == "/nowhere"


@pytest.mark.parametrize("shape", ["ssh", "apptainer with its own /tmp", "srun"])
def test_a_daemon_and_a_cancelled_probe_leave_nothing_behind_a_launcher(tmp_path: Path, shape: str) -> None:
    prefix = launcher(tmp_path, shape)
    assert "outlived the probe" in run(tmp_path / "1", prefix, "leaves_daemon").reason
    assert run(tmp_path / "2", prefix, "hangs", cancel=True).reason.startswith("cancelled")
    assert sleepers() == []


def test_behind_ssh_the_shell_over_there_expands_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a home").mkdir()
    (tmp_path / "a home" / "my python").symlink_to(sys.executable)
    monkeypatch.setenv("HOME", str(tmp_path / "a home"))
    python = '"$HOME/my python"'
    assert run(tmp_path, launcher(tmp_path, "ssh"), "sound", python=python).verdict is Verdict.PASS


def test_what_is_ours_is_quoted_for_a_shell_and_for_none() -> None:
    ours = ["-c", "import sys;exec('x')", "7"]
    assert prefixes.command(["docker", "exec", "-i", "x"], "python", ours)[-3:] == ours
    far = prefixes.command(["sshpass", "-e", "/usr/bin/ssh", "node7"], "~/env/bin/python", ours)
    assert far[-4] == "~/env/bin/python"
    assert shlex.split(" ".join(far[-3:])) == ours
    assert prefixes.command(["conda", "run", "--live-stream"], "python", []) == [
        "conda",
        "run",
        "--live-stream",
        "python",
    ]
    assert prefixes.command(["env", "run"], "python", []) == ["env", "run", "python"]
