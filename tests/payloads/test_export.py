"""export.roundtrip in real processes: out, to a file, into another process, the same bits; and when it is not so."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_modules import load
from payload_process import run_payload

from torchprobes.model import Verdict

torch = pytest.importorskip("torch")


def test_programs_survive_save_load_and_another_process(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "export.roundtrip")
    facts = {f.name: f.value for f in said.readings.facts}
    assert said.judgement.verdict is Verdict.PASS, said.judgement
    assert facts["export.fresh.ending"] == 0
    assert facts["export.comparison"] is True
    for case, batches in {"static": (32,), "dynamic": (32, 48), "strict": (32, 48), "non-strict": (32, 48)}.items():
        for batch in batches:
            assert facts[f"export.{case}.here.{batch}"] == 0.0
            assert facts[f"export.{case}.fresh.{batch}"] == 0.0
    writers = {path.name for path in (said.folder / "events").iterdir()}
    assert f"{facts['export.fresh.pid']}.jsonl" in writers
    assert len(writers) == 2


@pytest.mark.trials
def test_a_program_that_the_other_process_cannot_load_is_a_fail(tmp_path: Path) -> None:
    patch = tmp_path / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(
        "import json, os\n"
        "request = json.load(open(os.environ['TORCHDOCTOR_REQUEST'])) if 'TORCHDOCTOR_REQUEST' in os.environ else {}\n"
        "if request.get('helper'):\n"
        "    open(os.path.join(request['artifacts'], 'export.static.pt2'), 'wb').write(b'broken')\n"
    )
    said = run_payload(tmp_path / "run", "export.roundtrip", environ={"PYTHONPATH": str(patch)})
    assert said.judgement.verdict is Verdict.FAIL
    assert said.ids[0] == "TD-EXP-004"
    assert "static" in said.judgement.reason


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (torch.tensor([1.0, 2.0]), 0.0),
        (torch.tensor([1.0, 2.5]), 0.5),
        (torch.tensor([1.0, float("nan")]), "not comparable"),
        (torch.tensor([1.0]), "(1,) torch.float32 instead of (2,) torch.float32"),
        (torch.tensor([1.0, 2.0], dtype=torch.float64), "(2,) torch.float64 instead of (2,) torch.float32"),
    ],
)
def test_a_difference_is_a_number_or_words(monkeypatch: pytest.MonkeyPatch, other: object, told: object) -> None:
    assert load(monkeypatch, "export").difference(torch, other, torch.tensor([1.0, 2.0])) == told
