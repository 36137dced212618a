"""cudagraph.replay where there is no CUDA device: a skip with its reason, never a pass. With one: tests/gpu."""

from __future__ import annotations

from pathlib import Path

import pytest
from payload_process import run_payload

from torchprobes.model import Verdict


def test_on_a_cpu_it_is_skipped_with_the_reason(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "cudagraph.replay")
    assert said.judgement.verdict is Verdict.SKIP
    assert said.judgement.reason.startswith("CUDA graphs need a CUDA device")


@pytest.mark.trials
def test_a_device_that_this_pytorch_cannot_use_is_skipped_with_its_words(tmp_path: Path) -> None:
    said = run_payload(tmp_path / "run", "cudagraph.replay", "cuda:0", {"CUDA_VISIBLE_DEVICES": ""})
    assert said.judgement.verdict is Verdict.SKIP
    assert "CUDA" in said.judgement.reason
