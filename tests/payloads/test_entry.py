"""compile.entry for real: a user's model with one break, its place, its remedy, and how much of it is compiled."""

from __future__ import annotations

import shutil

import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number
from torchprobes.model import Severity, Verdict

pytestmark = [
    pytest.mark.compiles,
    pytest.mark.skipif(shutil.which("g++") is None, reason="NO C++ COMPILER (g++): torch.compile was not tried at all"),
]

MINE = """
import torch

class Gate(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = torch.nn.Linear(64, 64), torch.nn.Dropout(0.5), torch.nn.Linear(64, 8)

    def forward(self, x):
        y = self.drop(self.first(x).relu())
        if y.sum().item() > 0:  # the break
            y = y + 1
        return {"out": self.last(y)}

def gate(device):
    torch.manual_seed(0)
    return Gate().to(device), (torch.randn(16, 64, device=device),)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    folder = tmp_path_factory.mktemp("entry")
    (folder / "mine.py").write_text(MINE)
    params = {"entry": "mine.py:gate", "folder": str(folder)}
    return run_payload(folder / "run", "compile.entry", more={"params": params})


def test_a_break_is_told_with_its_place_and_its_remedy(said: Said) -> None:
    assert said.judgement.verdict is Verdict.DEGRADED, (said.judgement, said.stderr[-3000:])
    (warning,) = [f for f in said.judgement.findings if f.severity is not Severity.INFO]
    assert warning.id == "TD-CMP-030"
    line = next(i for i, text in enumerate(MINE.splitlines(), 1) if "the break" in text)
    assert f"mine.py:{line}" in warning.seen
    assert "capture_scalar_outputs" in warning.seen


def test_dropout_is_told_from_a_wrong_answer(said: Said) -> None:
    assert "TD-ENT-002" in said.ids
    assert "TD-ENT-001" not in said.ids
    distance = number(said.readings, "entry.distance", case="compiled")
    assert distance is not None
    assert distance < 1e-6


def test_it_is_told_how_much_is_compiled_and_what_it_gains(said: Said) -> None:
    read = {
        name: number(said.readings, name) for name in ("coverage", "eager_share", "compiled_calls_per_step", "speedup")
    }
    assert read["compiled_calls_per_step"] == 2
    assert 0 < (read["coverage"] or 0) <= 1
    assert read["eager_share"] is not None
    assert read["speedup"]
