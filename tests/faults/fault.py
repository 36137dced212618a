"""A fault as data: what is put in, which probe tells it by which card, and what of the card's fix takes it away."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pytest
from payload_process import Said, run_payload, run_untouched
from rank_process import start_ranks
from test_ddp import readings

from torchprobes.catalogue import PROBES
from torchprobes.judge.verdict import judge
from torchprobes.model import Finding, Severity, Verdict


@dataclass(frozen=True)
class State:
    """How a probe is started: all that a fault can change from outside.

    `environ` comes over a clean environment, `user` is what the user had before the runner set its own, `params` are
    the probe's, `more` the rest of the request, and `through` stands before the command (`mounted`, `prlimit`).
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    user: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    through: tuple[str, ...] = ()
    device: str = "cpu"
    python: str = sys.executable


OTHER_PYTHONS = tuple(filter(None, os.environ.get("TORCHDOCTOR_MATRIX_PYTHON", "").split(":")))
"""Interpreters with other versions of PyTorch; read here, because no test sees the variables of who runs it."""

UNTOUCHED = State()
"""Nothing is set: runs of a probe in this state are the same, whichever fault was cured by it."""

Change = Callable[[Path], State]
"""Changes the folder of one fault, and says in which state the probe then runs."""


@dataclass(frozen=True)
class Fault:
    """One fault. `fix` are the words of the card's fix that `cure` carries out; `says` must stand in the reason."""

    name: str
    probe: str
    card: str
    verdict: Verdict
    inject: Change
    cure: Change
    fix: str
    marks: tuple[pytest.MarkDecorator, ...] = ()
    says: str = ""

    def told(self, folder: Path, change: Change, turn: str) -> Said:
        """What the probe says after `change`; a machine that is too busy for it to say anything is asked again."""
        state = change(folder)
        said = self._shared(folder, state, turn)
        for again in range(_TURNS):
            if not _too_noisy(said):
                break
            said = self._run(folder / f"{turn}-{again}", state)
        return said

    def _shared(self, folder: Path, state: State, turn: str) -> Said:
        """A state that does not name this fault's folder is tried once for all faults."""
        if state == UNTOUCHED:
            return run_untouched(folder.parent / "untouched", self.probe)
        key = (self.probe, repr(state))
        if str(folder) in repr(state):
            return self._run(folder / turn, state)
        if key not in _KEPT:
            _KEPT[key] = self._run(folder / turn, state)
        return _KEPT[key]

    def _run(self, folder: Path, state: State) -> Said:
        return (_in_ranks if self.probe.startswith("ddp.") else _alone)(self.probe, folder, state)


_TURNS = 3
_KEPT: dict[tuple[str, str], Said] = {}
"""By probe and state: what was said in a state that several faults share."""


def _too_noisy(said: Said) -> bool:
    """Whether nothing is told but that a speed could not be measured, which is true of a busy machine."""
    return [finding.id for finding in alarms(said)] == ["TD-CMP-046"]


def _alone(probe: str, folder: Path, state: State) -> Said:
    more = {"params": state.params, "user_environ": dict(state.user)}
    return run_payload(folder, probe, state.device, state.environ, 600, state.python, more, state.through)


def _in_ranks(name: str, folder: Path, state: State) -> Said:
    """The probe in two ranks, through torchrun as a check starts it."""
    probe = next(p for p in PROBES if p.name == name)
    params = {**probe.params, **state.params}
    started = start_ranks(folder, environ=state.environ, params=params)
    started.process.wait(timeout=300)
    said = readings(started.events, probe=name)
    return Said(said, judge(probe, said), (folder / "stderr.log").read_text(errors="replace"), folder)


def alarms(said: Said) -> list[Finding]:
    """The findings that ask for something to be done: an info may stand beside them."""
    return [finding for finding in said.judgement.findings if finding.severity is not Severity.INFO]


# --- changes that many faults are made of --------------------------------------------------------------------------


def setting(**environ: str) -> Change:
    """Variables of the environment; none, and it is untouched."""
    return lambda _folder: State(environ=environ) if environ else UNTOUCHED


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """A file with the folders above it; `mode` 0o755 makes it a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def customised(folder: Path, code: str) -> Mapping[str, str]:
    """An environment in which every Python runs `code` at its start, as a sitecustomize of the user's would."""
    write(folder / "hook" / "sitecustomize.py", code)
    return {"PYTHONPATH": str(folder / "hook")}


def mounted(*commands: str) -> tuple[str, ...]:
    """Words that run these commands of mount(8) in a mount namespace of its own, and then become what follows."""
    if not _may_mount():
        pytest.skip("LOUD: nobody may mount a file system of their own here, so this fault was not put in")
    script = " && ".join((*commands, 'exec "$@"'))
    return ("unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script, "bash")


def in_memory(place: Path | str, options: str) -> str:
    """The command that mounts a file system in memory at `place`, which is made where it is not there."""
    Path(place).mkdir(parents=True, exist_ok=True)
    return f"mount -t tmpfs -o {options} none {shlex.quote(str(place))}"


def other_python(fits: Callable[[str, str], bool], what: str) -> str:
    """The first interpreter of TORCHDOCTOR_MATRIX_PYTHON (paths separated by a colon) whose Python and torch fit."""
    code = "import platform, torch; print(platform.python_version(), torch.__version__)"
    for python in OTHER_PYTHONS:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=120)
        found = done.stdout.split()
        if len(found) == 2 and fits(found[0], found[1]):
            return python
    pytest.skip(f"LOUD: TORCHDOCTOR_MATRIX_PYTHON names no {what}, so this fault was not put in")


@lru_cache(maxsize=1)
def _may_mount() -> bool:
    words = ("unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt")
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False
