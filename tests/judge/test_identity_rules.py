"""env.identity judged: each single fault in a sound run gives its one finding and verdict."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sound import IDENTITY, ids, judged, readings

from torchprobes.model import Verdict

NAME = "env.identity"
F, D, P = Verdict.FAIL, Verdict.DEGRADED, Verdict.PASS


def test_a_gpu_that_answered_is_a_pass_that_says_so() -> None:
    judgement = judged(readings(NAME, IDENTITY))
    assert (judgement.verdict, judgement.findings) == (P, ())
    assert judgement.reason == "torch 2.11.0+cu130 on Python 3.11.7: NVIDIA H200 ran a kernel and its answer is right"


@pytest.mark.parametrize(
    ("change", "card", "verdict"),
    [
        ({"torch.found": False, "torch.import": "builtins.ModuleNotFoundError"}, "TD-ENV-001", F),
        ({"torch.import": "builtins.ImportError", "torch.import.message": "libcudart.so.12"}, "TD-ENV-002", F),
        ({"torch.import": ..., "torch.process": "killed by SIGILL"}, "TD-ENV-003", F),
        ({"torch.process": "exited with 70"}, "TD-ENV-003", F),
        ({"driver.cuda": "12.8", "cuda.available": False}, "TD-ENV-006", F),
        ({"cuda.available": False, "cuda.init.raised": "builtins.RuntimeError"}, "TD-ENV-007", F),
        ({"cuda.arch": "none", "cuda.kernel": "builtins.RuntimeError", "cuda.answer": ...}, "TD-ENV-009", F),
        ({"cuda.arch": "ptx"}, "TD-ENV-010", D),
        ({"cuda.answer": "wrong"}, "TD-ENV-011", F),
        ({"cuda.kernel": "builtins.RuntimeError", "cuda.answer": ...}, "TD-ENV-011", F),
        ({"cudnn.version.raised": "builtins.RuntimeError"}, "TD-ENV-016", D),
        ({"cudnn.available": False}, "TD-ENV-016", D),
        ({"compiler.path": None}, "TD-ENV-018", P),
        ({"triton.found": False}, "TD-ENV-019", P),
        ({"cpu.answer": "wrong"}, "TD-ENV-020", F),
        ({"loaded.cudnn": 2}, "TD-ENV-021", D),
        ({"shell.python.same": False}, "TD-ENV-014", P),
        ({"shell.python.same": False, "shell.activation.VIRTUAL_ENV": False}, "TD-ENV-015", P),
        ({"shell.python.same": False, "shell.python.torch": "2.6.0"}, "TD-ENV-067", D),
        ({"shell.python3.same": False, "shell.python3.torch": "2.11.0+cu130"}, "TD-ENV-014", P),
        ({"shell.torchrun.same": False, "shell.torchrun.torch": "2.6.0"}, "TD-ENV-068", D),
        ({"shell.torchrun.same": False, "shell.torchrun.torch": None}, "TD-ENV-069", D),
        ({"job.4711.python": "/other/bin/python", "job.4711.torch": "2.6.0"}, "TD-ENV-049", P),
    ],
)
def test_one_fault_is_told_once(change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    evidence = dict.fromkeys(change, "as seen")
    judgement = judged(readings(NAME, {**IDENTITY, **change}, evidence=evidence))
    assert ids(judgement) == [card]
    assert judgement.verdict is verdict, judgement.reason
    assert judgement.findings[0].seen


@pytest.mark.parametrize(
    "change",
    [
        {"shell.torchrun.same": True},
        {"shell.torchrun": None},
        {"job.4711.torch": "2.11.0+cu130"},
        {"driver.cuda": "13.1"},
        {"driver.cuda": "nonsense"},
        {"node.ascend": 8},
        {"shell.python.same": True},
    ],
)
def test_what_is_no_fault_is_no_finding(change: Mapping[str, object]) -> None:
    judgement = judged(readings(NAME, {**IDENTITY, **change}))
    assert (judgement.verdict, judgement.findings) == (P, ())


def test_gpus_that_a_variable_hides_are_no_fault_of_the_driver() -> None:
    told = {**IDENTITY, "cuda.available": False, "environ.CUDA_VISIBLE_DEVICES": "", "cuda.answer": ...}
    judgement = judged(readings(NAME, told, device="cpu"))
    assert (judgement.verdict, ids(judgement)) == (P, ["TD-ENV-008"])


def test_a_gpu_that_was_asked_and_did_not_answer_is_no_pass() -> None:
    judgement = judged(readings(NAME, {**IDENTITY, "cuda.answer": ...}))
    assert judgement.verdict is Verdict.UNSURE


def test_the_driver_is_told_with_both_numbers() -> None:
    (finding,) = judged(readings(NAME, {**IDENTITY, "driver.cuda": "12.4"})).findings
    assert finding.seen == "driver 580.95.05 takes CUDA up to 12.4, this torch is built for CUDA 13.0"
