"""ddp.allreduce judged: ranks that hang, fail, differ, leak or are slow; and what is only said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sound import DDP, DDP_FIGURES, figure, ids, judged, readings

from torchprobes.model import Figure, Outcome, Readings, Verdict

NAME = "ddp.allreduce"
F, D, U, P = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE, Verdict.PASS


def sound(change: Mapping[str, object] | None = None, *figures: Figure) -> Readings:
    """A sound run on two GPUs, changed; the last figure of a name counts."""
    facts = {**DDP, **(change or {})}
    return readings(NAME, facts, DDP_FIGURES + figures, evidence=dict.fromkeys(facts, "as seen"))


def test_ranks_that_met_reduced_and_trained_pass_with_what_was_seen() -> None:
    judgement = judged(sound())
    assert (judgement.verdict, judgement.findings) == (P, ())
    assert judgement.reason == (
        "5 of 5 communicators of 2 nccl ranks, 1760 sums right, parameters bit-equal, 1 KiB all_reduce p50 29 µs"
    )


FAILED = {
    "ddp.failed.r1": "train",
    "ddp.raised.r1": "builtins.RuntimeError",
    "ddp.raised.r1.message": "Connection closed",
}


@pytest.mark.parametrize(
    ("change", "card", "verdict"),
    [
        ({"ddp.hung.r1": "reduce", **FAILED}, "TD-DDP-001", F),
        ({**FAILED, "ddp.failed.r1": "init"}, "TD-DDP-002", F),
        (FAILED, "TD-DDP-003", F),
        ({"ddp.sums": "wrong", "ddp.parameters": "different"}, "TD-DDP-004", F),
        ({"ddp.parameters": "different"}, "TD-DDP-005", F),
        ({"ddp.parameters.detector": False}, "TD-DDP-006", U),
        ({"ddp.nccl_one_rank": "wrong"}, "TD-DDP-011", F),
    ],
)
def test_each_fault_has_its_card(change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    judgement = judged(sound(change))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)


@pytest.mark.parametrize(
    ("changed", "card", "verdict"),
    [
        (figure("init_ok", 3, n=5), "TD-DDP-002", F),
        (figure("single_run_difference", 0.02), "TD-DDP-007", F),
        (figure("memory_fluctuation", 3.1, n=190, series="allocated_peak"), "TD-DDP-008", D),
        (figure("memory_fluctuation", 5.9, n=190, series="rss"), "TD-DDP-008", D),
        (figure("busbw_gb_s", 20, size="128 MiB", ranks="2", backend="nccl"), "TD-DDP-009", D),
        (figure("allreduce_std_us", 900, size="1 KiB"), "TD-DDP-012", P),
    ],
)
def test_each_number_past_its_limit_has_its_card(changed: Figure, card: str, verdict: Verdict) -> None:
    judgement = judged(sound(None, changed))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, figure("memory_fluctuation", 3.1, series="rss")),
        ({}, figure("busbw_gb_s", 220, size="128 MiB", ranks="2", backend="nccl")),
        ({"ddp.gpu": "Some Other GPU"}, figure("busbw_gb_s", 5, size="128 MiB", ranks="2", backend="nccl")),
        ({}, figure("busbw_gb_s", 5, size="128 MiB", ranks="3", backend="nccl")),
        ({}, figure("memory_fluctuation", 50, series="another series")),
    ],
)
def test_what_has_no_limit_or_is_within_it_is_no_finding(change: Mapping[str, object], changed: Figure) -> None:
    assert judged(sound(change, changed)).findings == ()


def test_one_gpu_says_what_was_not_tested() -> None:
    judgement = judged(sound({"ddp.backend": "gloo", "ddp.nccl_one_rank": "right"}))
    assert (judgement.verdict, ids(judgement)) == (P, ["TD-DDP-010"])
    assert judgement.findings[0].seen == "2 gloo ranks on the CPU; NCCL with one rank: right"


def test_a_hang_is_told_with_rank_and_phase() -> None:
    assert (
        "rank 3 hung in phase init; rank 4 hung in phase init"
        in judged(sound({"ddp.hung.r3": "init", "ddp.hung.r4": "init"})).reason
    )


def test_ranks_that_ended_without_a_word_are_an_error_of_the_probe() -> None:
    told = sound()
    outcome = Outcome(ending="exited", cause="exited with 1; 1 of 2 ranks said their end")
    broken = Readings(probe=NAME, device="cuda:0", figures=told.figures, facts=told.facts, outcome=outcome)
    assert judged(broken).verdict is Verdict.ERROR


@pytest.mark.parametrize("missing", ["ddp.sums", "ddp.parameters", "ddp.parameters.detector"])
def test_what_was_not_read_is_no_pass(missing: str) -> None:
    assert judged(sound({missing: ...})).verdict is U
