"""Commands beside the fake driver of tests/telemetry, and recordings that are written there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from torchdoctor import settings
from torchprobes import rundir
from torchprobes.rundir import Place

TELEMETRY = Path(__file__).parents[1] / "telemetry"
sys.path.append(str(TELEMETRY))

_spec = importlib.util.spec_from_file_location("telemetry_conftest", TELEMETRY / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

library, driver = _module.library, _module.driver


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs are kept; settings and places are found without a child, no Slurm, no terminal."""
    runs = tmp_path / "runs"
    monkeypatch.setattr(settings, "read_config", lambda *_: ({}, ""))
    monkeypatch.setattr(rundir, "choose_place", lambda *_: Place(path=str(runs), origin="a test"))
    monkeypatch.setenv("TERM", "dumb")
    for name in ("SLURM_JOB_ID", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)
    return runs
