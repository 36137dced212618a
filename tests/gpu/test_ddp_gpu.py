"""ddp.allreduce over NCCL on all GPUs of this machine, and with one of them. Run by hand: `pytest -m gpu`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from statistics import median

import pytest
from rank_process import DDP, start_ranks
from test_ddp import readings

from torchprobes.catalogue import PROBES, Probe
from torchprobes.jobs.ranks import Ranks
from torchprobes.judge.verdict import judge
from torchprobes.model import Readings, Verdict

pytestmark = pytest.mark.gpu
LIMIT_S = 240


def gpu_uuids() -> tuple[str, ...]:
    """All GPUs of this machine, by UUID."""
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(done.stdout.split())


@pytest.fixture(scope="module")
def gpus() -> tuple[str, ...]:
    """All GPUs; skips without two."""
    found = gpu_uuids()
    if len(found) < 2:
        pytest.skip("needs two GPUs")
    return found


SIZES = {"8 B", "1 KiB", "64 KiB", "1 MiB", "16 MiB", "128 MiB"}
"""Those that every GPU has memory for; 1 GiB comes with 8 GiB free."""


def environ_of(gpus: tuple[str, ...]) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}


def show(said: Readings) -> dict[str, object]:
    """The facts by name; everything is printed, because a person reads what GPUs said."""
    for figure in said.figures:
        print(figure.name, f"{figure.value:.6g}", figure.unit, figure.n, figure.labels)
    for fact in said.facts:
        print("fact", fact.name, fact.value, "|", fact.evidence[:200])
    return {f.name: f.value for f in said.facts}


def probe(name: str) -> Probe:
    return next(p for p in PROBES if p.name == name)


def test_every_communicator_is_made_and_nccl_says_so(tmp_path: Path, gpus: tuple[str, ...]) -> None:
    environ, params = environ_of(gpus), {"part": "init", "cycles": 10}
    started = start_ranks(tmp_path / "probe", device="cuda:0", gpus=gpus, environ=environ, params=params)
    assert started.process.wait(timeout=LIMIT_S) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    said = readings(started.events, "cuda:0", "ddp.init")
    facts = show(said)
    judgement = judge(probe("ddp.init"), said)
    assert judgement.verdict is Verdict.PASS, judgement
    assert facts["ddp.backend"] == "nccl"
    for rank in range(len(gpus)):
        told = said.fact(f"ddp.communicators.r{rank}")
        assert told is not None, "NCCL wrote no log"
        assert told.value is True
        assert int(told.evidence.split()[0]) >= 10, told.evidence
    assert facts.get("ddp.transport.r0"), "NCCL's log names no transport"
    assert facts.get("ddp.nccl"), "NCCL's log names no version"


def test_every_gpu_reduces_rightly_and_as_fast_as_its_links(tmp_path: Path, gpus: tuple[str, ...]) -> None:
    environ, params = environ_of(gpus), {"part": "allreduce"}
    started = start_ranks(tmp_path / "probe", device="cuda:0", gpus=gpus, environ=environ, params=params)
    assert started.ranks == len(gpus)
    assert started.process.wait(timeout=LIMIT_S) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    said = readings(started.events, "cuda:0")
    facts = show(said)
    judgement = judge(DDP, said)
    print(judgement.verdict, judgement.reason, judgement.expectations)
    assert judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), judgement
    assert {f.labels["size"] for f in said.figures if f.name == "allreduce_us"} >= SIZES
    assert {f.labels["size"] for f in said.figures if f.name == "busbw"} >= {"1 MiB", "16 MiB", "128 MiB"}
    assert {f.labels["clock"] for f in said.figures if f.name == "allreduce_us"} == {"cuda events"}
    # NCCL 2.24 and later name the algorithm of each size; the timed process never asks for it.
    told = {name: value for name, value in facts.items() if name.startswith("ddp.algorithm")}
    assert told, "neither an algorithm nor a reason was told"
    rows = Ranks(started.events).poll().rows
    assert [r.state for r in rows] == ["ended"] * len(gpus)


def test_every_gpu_trains_to_the_same_bits(tmp_path: Path, gpus: tuple[str, ...]) -> None:
    environ, params = environ_of(gpus), {"part": "training"}
    started = start_ranks(tmp_path / "probe", device="cuda:0", gpus=gpus, environ=environ, params=params)
    assert started.process.wait(timeout=LIMIT_S) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    said = readings(started.events, "cuda:0", "ddp.training")
    facts = show(said)
    judgement = judge(probe("ddp.training"), said)
    assert judgement.verdict is Verdict.PASS, judgement
    assert (facts["ddp.parameters"], facts["ddp.sums"]) == ("bit-equal", "right")
    rows = Ranks(started.events).poll().rows
    assert [(r.device, r.state) for r in rows] == [(f"cuda:{n}", "ended") for n in range(len(gpus))]


SIDE_BY_SIDE = Path(__file__).parent / "side_by_side.py"
REPETITIONS = 5
LATENCY_US = 100.0


def test_all_reduce_agrees_with_an_independent_measurement(tmp_path: Path, gpus: tuple[str, ...]) -> None:
    """Five repetitions of both in turns, in one torchrun: within max(3 %, 2 x spread), under 100 us within 10 %."""
    started = start_ranks(tmp_path / "probe", str(SIDE_BY_SIDE), device="cuda:0", gpus=gpus, environ=environ_of(gpus))
    assert started.process.wait(timeout=LIMIT_S) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    said = readings(started.events, "cuda:0")
    found: dict[tuple[str, str], list[float]] = {}
    for figure in said.figures:
        found.setdefault((figure.labels["size"], figure.name), []).append(figure.value)
    assert len({size for size, _ in found}) >= 5
    worst = []
    for size in sorted({size for size, _ in found}):
        ours, other = found[size, "ours_us"], found[size, "independent_us"]
        assert len(ours) == len(other) == REPETITIONS
        apart = abs(median(ours) / median(other) - 1)
        spread = max((max(side) - min(side)) / 2 / median(side) for side in (ours, other))
        allowed = 0.10 if median(other) < LATENCY_US else max(0.03, 2 * spread)
        print(f"{size}: ours {median(ours):.2f} us, independent {median(other):.2f} us, {apart:.1%} of {allowed:.1%}")
        worst.append((apart <= allowed, size, apart, allowed))
    assert all(good for good, *_ in worst), worst


def test_one_gpu_says_that_communication_was_not_tested(tmp_path: Path) -> None:
    found = gpu_uuids()
    if not found:
        pytest.skip("needs a GPU")
    started = start_ranks(
        tmp_path / "probe", device="cuda:0", gpus=found[:1], environ={"CUDA_VISIBLE_DEVICES": found[0]}
    )
    assert started.process.wait(timeout=LIMIT_S) == 0
    said = readings(started.events, "cuda:0")
    judgement = judge(DDP, said)
    assert judgement.verdict is Verdict.PASS, judgement
    assert "TD-DDP-010" in [f.id for f in judgement.findings]
    one_rank = said.fact("ddp.nccl_one_rank")
    assert one_rank is not None
    assert one_rank.value == "right"
