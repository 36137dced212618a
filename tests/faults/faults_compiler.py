"""Faults under which torch.compile fails, or runs eager without a word: the reference model of compile.default."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from fault import Change, Fault, State, customised, in_memory, mounted, setting

from torchprobes.model import Verdict

_PROBE = "compile.default"
_DEGRADED, _FAIL = Verdict.DEGRADED, Verdict.FAIL
COMPILES = (
    pytest.mark.compiles,
    pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER (g++): torch.compile was not tried at all"),
)
TRIALS = (*COMPILES, pytest.mark.trials)


def _without_compiler(**environ: str) -> Change:
    """An empty PATH, as a runtime image has no compiler."""

    def change(folder: Path) -> State:
        (folder / "empty").mkdir()
        return State(environ={"PATH": str(folder / "empty"), **environ})

    return change


def _stance(folder: Path) -> State:
    return State(environ=customised(folder, "import torch\ntorch.compiler.set_stance('force_eager')\n"))


def _cache_on(options: str, fill: bool = False) -> Change:
    """Inductor's cache lies on a file system of these options."""

    def change(folder: Path) -> State:
        place = folder / "cache"
        core = shlex.quote(str(place / "core"))
        full = [f"dd if=/dev/zero of={core} bs=4k 2>/dev/null || true"] if fill else []
        through = mounted(in_memory(place, options), *full)
        return State(environ={"TORCHINDUCTOR_CACHE_DIR": str(place / "inductor")}, through=through)

    return change


FAULTS = (
    Fault("no compiler", _PROBE, "TD-CMP-001", _FAIL, _without_compiler(), setting(), "apt-get install g++", COMPILES),
    Fault("no compiler, and errors suppressed", _PROBE, "TD-CMP-021", _DEGRADED,
          _without_compiler(TORCHDYNAMO_SUPPRESS_ERRORS="0"), setting(),
          "apt-get install g++ && unset TORCHDYNAMO_SUPPRESS_ERRORS", COMPILES,
          says="TORCHDYNAMO_SUPPRESS_ERRORS=0"),
    Fault("TORCHDYNAMO_DISABLE=1", _PROBE, "TD-CMP-022", _DEGRADED, setting(TORCHDYNAMO_DISABLE="1"), setting(),
          "unset TORCHDYNAMO_DISABLE", COMPILES),
    Fault("TORCH_COMPILE_DISABLE=1", _PROBE, "TD-CMP-023", _DEGRADED, setting(TORCH_COMPILE_DISABLE="1"), setting(),
          "unset TORCH_COMPILE_DISABLE", COMPILES),
    Fault("a sitecustomize that sets the stance", _PROBE, "TD-CMP-024", _DEGRADED, _stance, setting(),
          'torch.compiler.set_stance("default")', TRIALS),
    Fault("a noexec cache", _PROBE, "TD-CMP-005", _FAIL, _cache_on("size=64g,mode=1777,noexec"), setting(),
          "export TORCHINDUCTOR_CACHE_DIR=<folder on an exec mount>", TRIALS),
    Fault("a read-only cache", _PROBE, "TD-CMP-010", _FAIL, _cache_on("size=64g,mode=1777,ro"), setting(),
          "export TORCHINDUCTOR_CACHE_DIR=<writable folder>", TRIALS),
    Fault("a full cache", _PROBE, "TD-CMP-010", _FAIL, _cache_on("size=1m,mode=1777", fill=True), setting(),
          "export TORCHINDUCTOR_CACHE_DIR=<writable folder>", TRIALS),
    Fault("caches switched off", "compile.cache", "TD-CMP-132", _DEGRADED,
          setting(TORCHINDUCTOR_FORCE_DISABLE_CACHES="1"), setting(), "unset TORCHINDUCTOR_FORCE_DISABLE_CACHES",
          TRIALS),
)  # fmt: skip
