"""ddp.allreduce over NCCL on all GPUs of this machine, and with one of them. Run by hand: `pytest -m gpu`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from payload_process import run_payload
from rank_process import DDP, start_ranks
from test_ddp import readings

from torchprobes.jobs.ranks import Ranks
from torchprobes.judge import judge
from torchprobes.model import Verdict

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


def test_every_gpu_reduces_rightly_and_trains_to_the_same_bits(tmp_path: Path, gpus: tuple[str, ...]) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}
    started = start_ranks(tmp_path / "probe", device="cuda:0", gpus=gpus, environ=environ)
    assert started.ranks == len(gpus)
    assert started.process.wait(timeout=LIMIT_S) == 0, (started.folder / "stderr.log").read_text()[-3000:]
    said = readings(started.events, "cuda:0")
    judgement = judge(DDP, said)
    assert judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), judgement
    facts = {f.name: f.value for f in said.facts}
    assert facts["ddp.backend"] == "nccl"
    assert facts["ddp.parameters"] == "bit-equal"
    assert {f.labels["size"] for f in said.figures if f.name == "busbw_gb_s"} == {"1 MiB", "16 MiB", "128 MiB"}
    assert {f.labels["clock"] for f in said.figures if f.name == "allreduce_us"} == {"cuda events"}
    rows = Ranks(started.events).poll().rows
    assert [(r.device, r.state) for r in rows] == [(f"cuda:{n}", "ended") for n in range(len(gpus))]
    for figure in said.figures:
        print(figure.name, figure.value, figure.unit, figure.n, figure.labels)


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


def test_identity_reads_an_answer_back_from_the_gpu(tmp_path: Path) -> None:
    if not gpu_uuids():
        pytest.skip("needs a GPU")
    said = run_payload(tmp_path / "run", "env.identity", "cuda:0")
    facts = {f.name: f.value for f in said.readings.facts}
    assert facts["cuda.answer"] == "right"
    assert facts["cuda.arch"] in ("exact", "same major", "ptx")
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), said.judgement
    print(said.judgement)


@pytest.mark.parametrize("name", ["export.roundtrip", "data.loader"])
def test_the_others_pass_on_a_gpu(tmp_path: Path, name: str) -> None:
    if not gpu_uuids():
        pytest.skip("needs a GPU")
    said = run_payload(tmp_path / "run", name, "cuda:0")
    assert said.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), said.judgement
    if name == "data.loader":
        pinned = said.readings.fact("dataloader.pinned")
        assert pinned is not None
        assert pinned.value == "right"
