"""export.modes for real in CI; export.aoti by hand; compile that fails where export works."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_process import run_payload

from torchprobes.model import Verdict

pytest.importorskip("torch")


def test_every_mode_exports_a_sound_model_and_refuses_a_branch_with_its_line(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "export.modes")
    assert (said.judgement.verdict, said.ids) == (Verdict.PASS, []), said.judgement
    told = {fact.name: fact.value for fact in said.readings.facts}
    for mode in ("default", "strict", "non-strict", "dynamic"):
        assert told[f"modes.{mode}"] == "right"
        assert told[f"modes.{mode}.branch"] == "refused"
        assert told[f"modes.{mode}.branch.named"] is True
    assert told["modes.draft.branch.failures"] == "DATA_DEPENDENT_ERROR"
    assert told["modes.strict_default"] is False


@pytest.mark.trials
@pytest.mark.compiles
def test_a_package_is_loaded_by_another_process_and_right(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "export.aoti", limit_s=400)
    assert (said.judgement.verdict, said.ids) == (Verdict.PASS, []), said.judgement
    told = {fact.name: fact.value for fact in said.readings.facts}
    assert f"{told['aoti.load.pid']}.jsonl" in {path.name for path in (said.folder / "events").iterdir()}


@pytest.mark.trials
@pytest.mark.parametrize(
    ("probe", "ids"), [("export.aoti", ["TD-CMP-001"]), ("compile.default", ["TD-CMP-001", "TD-EXP-020"])]
)
def test_without_a_compiler_the_cause_is_named_and_that_export_works_is_told(
    tmp_path: Path, probe: str, ids: list[str]
) -> None:
    said = run_payload(tmp_path / "run", probe, environ={"CXX": "/nowhere/g++"})
    assert (said.judgement.verdict, said.ids) == (Verdict.FAIL, ids), said.judgement
