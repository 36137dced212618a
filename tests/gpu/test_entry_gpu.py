"""The user's own model on a GPU: coverage by the device's time, launches, capture and replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_process import Said, run_payload

from torchprobes.judge.reading import number
from torchprobes.model import Severity, Verdict

pytestmark = pytest.mark.gpu

MINE = """
import torch

def encoder(device):
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(256, 4, 512, dropout=0.0, batch_first=True)
    return torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).to(device), (
        torch.randn(16, 128, 256, device=device),)

class Half(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.ours, self.left = torch.nn.Linear(1024, 1024), torch.nn.Linear(1024, 1024)

    def forward(self, x):
        return self.left(self.ours(x).relu())

def half(device):
    torch.manual_seed(0)
    model = Half().to(device)
    model.ours = torch.compile(model.ours)
    return model, (torch.randn(4096, 1024, device=device),)

def dropout(device):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.Dropout(0.3)).to(device), (
        torch.randn(64, 256, device=device),)

def waits(device):
    model = torch.nn.Linear(64, 64).to(device)
    return (lambda x: model(x) * model(x).sum().item()), (torch.randn(8, 64, device=device),)
"""


@pytest.fixture(scope="module", autouse=True)
def needs_cuda() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


def said(folder: Path, name: str, entry: str) -> Said:
    (folder / "mine.py").write_text(MINE)
    params = {"entry": f"mine.py:{entry}", "folder": str(folder)}
    told = run_payload(folder / "run", name, "cuda:0", more={"params": params})
    print(f"\n{name} {entry}: {told.judgement.verdict.value}: {told.judgement.reason}")
    for f in told.judgement.findings:
        print(f"   {f.id} {f.severity.value}: {f.seen}")
    for figure in told.readings.figures:
        print(f"   {figure.name} {figure.value:.5g} {figure.unit} {figure.labels}")
    return told


def alarms(told: Said) -> list[str]:
    return [f.id for f in told.judgement.findings if f.severity is not Severity.INFO]


def test_a_whole_model_is_covered_by_the_devices_own_time(tmp_path: Path) -> None:
    told = said(tmp_path, "compile.entry", "encoder")
    assert (told.judgement.verdict, alarms(told)) == (Verdict.PASS, []), (told.judgement, told.stderr[-3000:])
    assert number(told.readings, "coverage", clock="device") == pytest.approx(1.0, abs=0.05)


def test_a_part_that_was_left_eager_is_told_with_its_share(tmp_path: Path) -> None:
    told = said(tmp_path, "compile.entry", "half")
    assert alarms(told) == ["TD-ENT-010"], (told.judgement, told.stderr[-3000:])
    assert 0.2 < (number(told.readings, "coverage", clock="device") or 0) < 0.8


@pytest.mark.parametrize("entry", ["encoder", "dropout"])
def test_a_step_is_captured_and_replayed_rightly(tmp_path: Path, entry: str) -> None:
    told = said(tmp_path, "cudagraph.entry", entry)
    assert (told.judgement.verdict, alarms(told)) == (Verdict.PASS, []), (told.judgement, told.stderr[-3000:])
    assert number(told.readings, "graph_launches", side="replay") == 1


def test_a_step_that_waits_for_the_device_cannot_be_captured(tmp_path: Path) -> None:
    told = said(tmp_path, "cudagraph.entry", "waits")
    assert (told.judgement.verdict, alarms(told)) == (Verdict.FAIL, ["TD-ENT-030"]), told.judgement


def test_a_model_is_exported_on_the_device(tmp_path: Path) -> None:
    told = said(tmp_path, "export.entry", "encoder")
    assert told.judgement.verdict is Verdict.PASS, (told.judgement, told.stderr[-3000:])
