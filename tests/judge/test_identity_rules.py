"""env.identity judged: each single fault in a sound run gives its one finding and verdict."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sound import IDENTITY, ids, judged, readings

from torchprobes.model import Verdict

NAME = "env.identity"
F, D, P = Verdict.FAIL, Verdict.DEGRADED, Verdict.PASS


def test_a_pytorch_that_answered_is_a_pass_that_says_so() -> None:
    judgement = judged(readings(NAME, IDENTITY))
    assert (judgement.verdict, judgement.findings) == (P, ())
    assert judgement.reason == "torch 2.11.0+cu130 on Python 3.11.7: the CPU's answer was read back and is right"


@pytest.mark.parametrize(
    ("change", "card", "verdict"),
    [
        ({"torch.found": False, "torch.import": "builtins.ModuleNotFoundError"}, "TD-ENV-001", F),
        ({"torch.import": "builtins.ImportError", "torch.import.message": "libcudart.so.12"}, "TD-ENV-002", F),
        ({"torch.import": ..., "torch.process": "killed by SIGILL"}, "TD-ENV-003", F),
        ({"torch.process": "exited with 70"}, "TD-ENV-003", F),
        ({"compiler.path": None}, "TD-ENV-018", P),
        ({"triton.found": False}, "TD-ENV-019", P),
        ({"cpu.answer": "wrong"}, "TD-ENV-020", F),
        ({"path.state": "hung", "compiler.path": None}, "TD-ENV-058", Verdict.UNSURE),
        ({"compiler.state": "hung", "compiler.path": ...}, "TD-ENV-058", Verdict.UNSURE),
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
        {"node.ascend": 8},
        {"shell.python.same": True},
    ],
)
def test_what_is_no_fault_is_no_finding(change: Mapping[str, object]) -> None:
    judgement = judged(readings(NAME, {**IDENTITY, **change}))
    assert (judgement.verdict, judgement.findings) == (P, ())


def test_a_missing_triton_is_no_fault_without_a_gpu_or_without_cuda() -> None:
    for change in ({"node.nvidia": ...}, {"torch.build.cuda": None}):
        assert ids(judged(readings(NAME, {**IDENTITY, "triton.found": False, **change}))) == []


@pytest.mark.parametrize("lacks", ["torch.import", "cpu.answer"])
def test_without_its_evidence_there_is_no_pass(lacks: str) -> None:
    assert judged(readings(NAME, {**IDENTITY, lacks: ...})).verdict is Verdict.UNSURE
