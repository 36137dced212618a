"""ddp.allreduce judged: ranks that hang, fail, differ, leak or are slow; and what is only said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from sound import DDP, DDP_FIGURES, figure, ids, judged, readings

from torchprobes.judge.system import links
from torchprobes.model import Figure, Outcome, Readings, Verdict

NAME = "ddp.allreduce"
MET = "20 of 20 communicators of 2 nccl ranks"
TRAINED = "parameters bit-equal and as in one process, memory std/mean 0.10% of allocated_peak"
F, D, U, P = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE, Verdict.PASS


def sound(change: Mapping[str, object] | None = None, *figures: Figure, probe: str = NAME) -> Readings:
    """A sound run on two GPUs, changed; the last figure of a name counts."""
    facts = {**DDP, **(change or {})}
    return readings(probe, facts, DDP_FIGURES + figures, evidence=dict.fromkeys(facts, "as seen"))


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        ("ddp.init", f"{MET} (proves at least 86%), p50 300 ms, slowest 800 ms"),
        (NAME, f"{MET}, 1760 sums right, 1 KiB p50 29 µs, 285 GB/s at 128 MiB (RING/SIMPLE, 285 GB/s expected)"),
        (
            "ddp.training",
            f"{MET}, 1760 sums right, {TRAINED}",
        ),
    ],
    ids=["init", "allreduce", "training"],
)
def test_ranks_that_did_what_was_asked_pass_with_what_was_seen(probe: str, reason: str) -> None:
    judgement = judged(sound(probe=probe))
    assert (judgement.verdict, judgement.findings, judgement.reason) == (P, (), reason)


FAILED = {
    "ddp.failed.r1": "train",
    "ddp.raised.r1": "builtins.RuntimeError",
    "ddp.raised.r1.message": "Connection closed",
}


NO_SPACE = {**FAILED, "ddp.failed.r1": "init", "ddp.raised.r1.message": "posix_fallocate: No space left on device (28)"}


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
        ({"ddp.transport.r1": "P2P/CUMEM x 2, NET/Socket x 4"}, "TD-DDP-013", D),
        ({"ddp.transport.r0": "SHM/direct x 4"}, "TD-DDP-014", P),
        ({"ddp.communicators.r1": False}, "TD-DDP-015", P),
        ({"shm.total_bytes": 64 << 20, "ddp.transport.r0": "SHM/direct x 4"}, "TD-DDP-016", F),
        ({"shm.total_bytes": 64 << 20, "ddp.transport.r0": "SHM/direct x 4", "ddp.hung.r1": "reduce"}, "TD-DDP-016", F),
        ({"shm.total_bytes": 64 << 20, **NO_SPACE}, "TD-DDP-016", F),
        ({"ddp.driver_cuda": "12.8"}, "TD-DDP-017", F),
    ],
)
def test_each_fault_has_its_card(change: Mapping[str, object], card: str, verdict: Verdict) -> None:
    judgement = judged(sound(change))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)


@pytest.mark.parametrize(
    ("changed", "card", "verdict"),
    [
        (figure("init_ok", 19, n=20), "TD-DDP-002", F),
        (figure("single_run_difference", 0.02), "TD-DDP-007", F),
        (figure("single_run_loss_difference", 0.02), "TD-DDP-007", F),
        (figure("memory_fluctuation", 0.031, n=190, series="allocated_peak"), "TD-DDP-008", D),
        (figure("memory_fluctuation", 0.059, n=190, series="rss"), "TD-DDP-008", D),
        (figure("busbw", 20e9, size="128 MiB", ranks="2", backend="nccl"), "TD-DDP-009", D),
        (figure("allreduce_std_us", 900, size="1 KiB"), "TD-DDP-012", P),
    ],
)
def test_each_number_past_its_limit_has_its_card(changed: Figure, card: str, verdict: Verdict) -> None:
    judgement = judged(sound(None, changed))
    assert (ids(judgement), judgement.verdict) == ([card], verdict)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, figure("memory_fluctuation", 0.031, series="rss")),
        ({}, figure("busbw", 220e9, size="128 MiB", ranks="2", backend="nccl")),
        ({}, figure("busbw", 5e9, size="1 MiB", ranks="2", backend="nccl")),
        ({"ddp.gpu": "NVIDIA H200 NVL"}, figure("busbw", 5e9, size="128 MiB", ranks="2", backend="nccl")),
        ({}, figure("busbw", 5e9, size="128 MiB", ranks="3", backend="nccl")),
        ({}, figure("memory_fluctuation", 50, series="another series")),
        ({"shm.total_bytes": 64 << 20}, figure("init_ok", 20, n=20)),
        ({"ddp.driver_cuda": "13.2"}, figure("init_ok", 20, n=20)),
    ],
)
def test_what_has_no_limit_or_is_within_it_is_no_finding(change: Mapping[str, object], changed: Figure) -> None:
    assert judged(sound(change, changed)).findings == ()


def linked(link: str, between: str, ports: str = "") -> Readings:
    """A run in which NCCL told one link more."""
    told = {"ddp.link.0-1": "P2P/CUMEM x 24", "ddp.link.1-2": link, "ddp.fast_ports": ports}
    evidence = {**dict.fromkeys(DDP, "as seen"), "ddp.link.0-1": "one machine", "ddp.link.1-2": between}
    return readings(NAME, {**DDP, **told}, DDP_FIGURES, evidence=evidence)


ETH0 = "NET/Socket over eth0 (192.0.2.2) x 2"


@pytest.mark.parametrize(
    ("link", "between", "ports", "card", "verdict"),
    [
        (ETH0, "one machine", "", "TD-DDP-013", D),
        (ETH0, "one machine", "mlx5_0/1", "TD-DDP-013", D),
        ("NET/IB over mlx5_0 (port 1/IB) x 4", "one machine", "mlx5_0/1", "TD-DDP-013", D),
        (ETH0, "two machines", "mlx5_0/1", "TD-DDP-018", D),
        (ETH0, "two machines", "", "TD-DDP-019", P),
        ("NET/IB over mlx5_0 (port 1/IB) x 4", "two machines", "mlx5_0/1", None, P),
        ("P2P/IPC x 4", "one machine", "mlx5_0/1", None, P),
    ],
)
def test_a_link_that_takes_a_slow_network_is_named(
    link: str, between: str, ports: str, card: str | None, verdict: Verdict
) -> None:
    judgement = judged(linked(link, between, ports))
    assert (ids(judgement), judgement.verdict) == ([card] if card else [], verdict)
    if card is not None:
        assert f"rank 1 -> rank 2 by {link}" in judgement.findings[0].seen
        assert "rank 0 -> rank 1" not in judgement.findings[0].seen


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


@pytest.mark.parametrize(
    ("probe", "missing"),
    [
        (NAME, "ddp.sums"),
        ("ddp.training", "ddp.sums"),
        ("ddp.training", "ddp.parameters"),
        ("ddp.training", "ddp.parameters.detector"),
    ],
)
def test_what_was_not_read_is_no_pass(probe: str, missing: str) -> None:
    assert judged(sound({missing: ...}, probe=probe)).verdict is U


@pytest.mark.parametrize("probe", ["ddp.init", NAME, "ddp.training"])
def test_facts_without_figures_are_no_pass(probe: str) -> None:
    assert judged(readings(probe, DDP)).verdict is U


# --- what links give -------------------------------------------------------------------------------------------------


def test_a_fall_is_told_with_algorithm_transport_and_the_sound_figure() -> None:
    told = sound(None, figure("busbw", 20e9, size="128 MiB", ranks="2", backend="nccl"))
    assert judged(told).findings[0].seen == (
        "2 x NVIDIA H200: 20 GB/s at 128 MiB over RING/SIMPLE and P2P/CUMEM, 285 is sound (RING), the alarm is below "
        "214: the path has left NVLink"
    )


def test_what_a_figure_should_reach_goes_with_the_result() -> None:
    (expected,) = judged(sound()).expectations
    assert (expected.name, expected.value, expected.limit) == ("busbw", 285e9, 0.75 * 285e9)
    assert expected.labels == {"size": "128 MiB", "ranks": "2", "backend": "nccl"}
    assert "(RING)" in expected.source
    queued = judged(sound(None, figure("busbw_queued", 300e9, size="128 MiB", ranks="2", backend="nccl"))).expectations
    assert [(e.name, e.value) for e in queued] == [("busbw", 285e9), ("busbw_queued", 285e9)]
    assert judged(sound({"ddp.gpu": "NVIDIA H9000"})).expectations == ()
    assert judged(sound({"ddp.gpu": "NVIDIA H9000"})).verdict is P


@pytest.mark.parametrize(
    ("gpu", "count", "size", "algorithm", "gb_s"),
    [
        ("NVIDIA H200", 8, "1 GiB", "NVLS/SIMPLE", 475),
        ("NVIDIA H200", 8, "1 GiB", "NVLS_TREE/SIMPLE", 475),
        ("NVIDIA H200", 8, "1 GiB", "RING/SIMPLE", 367),
        ("NVIDIA H200", 8, "1 GiB", "", 367),
        ("NVIDIA H100 80GB HBM3", 2, "1 GiB", "RING/SIMPLE", 328),
        ("NVIDIA A100-SXM4-80GB", 8, "128 MiB", "", 177),
        ("NVIDIA H200", 4, "1 GiB", "NVLS/SIMPLE", None),
        ("NVIDIA H200", 8, "8 B", "RING/LL", None),
        ("NVIDIA H2", 8, "1 GiB", "", None),
    ],
)
def test_a_row_is_one_machine_one_size_and_one_algorithm(
    gpu: str, count: int, size: str, algorithm: str, gb_s: float | None
) -> None:
    row = links.link(gpu, count, size, algorithm)
    assert (row.gb_s if row else None) == gb_s


def test_every_row_has_its_source_and_no_machine_has_two() -> None:
    keys = [(gpu, row.count, row.size, row.algorithm) for row in links.LINKS for gpu in row.gpus]
    assert len(keys) == len(set(keys))
    assert {row.size for row in links.LINKS} <= set(links.SIZES.values())
    assert all(row.source and 0 < row.gb_s < 1000 and row.algorithm in ("NVLS", "RING") for row in links.LINKS)
