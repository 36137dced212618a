"""A hang of two ranks over NCCL under plain torchrun, prepared as `env --diagnosable` says: what is seen of it.

Run by hand: `pytest -m gpu -s tests/gpu/test_job_evidence_gpu.py`; it prints the figures. About 40 s. With
TORCHDOCTOR_KEEP=FOLDER the dumps and the answers of RAS are copied there: they are worth having as recordings.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from test_ddp_gpu import gpu_uuids

from torchprobes.distributed import JobIdentity, SourceState
from torchprobes.jobs.collect import collect, collect_in_child
from torchprobes.jobs.diagnosable import exports
from torchprobes.jobs.find import JobError, find_job
from torchprobes.jobs.processes import look
from torchprobes.jobs.ras import DEFAULT_ADDRESS, NoRas, address_of, ask, parse_text
from torchprobes.jobs.stacks import find_pyspy, grouped
from torchprobes.rank_evidence import NodeEvidence, RankEvidence

pytestmark = pytest.mark.gpu

BEFORE = 20
"""Collectives that both ranks finish before rank 1 falls asleep."""

START_S = 120
TRAIN = f"""
import os, sys, time
import torch
import torch.distributed as dist
rank = int(os.environ["LOCAL_RANK"])
torch.cuda.set_device(rank)
def synchronise():
    dist.all_reduce(tensor)
    torch.cuda.synchronize()
def load_batch():
    print("asleep", file=sys.stderr, flush=True)
    time.sleep(600)
dist.init_process_group("nccl")
tensor = torch.ones(1 << 20, device="cuda")
for _ in range({BEFORE}):
    synchronise()
if rank == 1:
    load_batch()
synchronise()
"""


class Hang(NamedTuple):
    """The job, its folder, and what was collected of it with time enough for everything."""

    job: JobIdentity
    folder: Path
    found: NodeEvidence


@pytest.fixture(scope="module")
def hang(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hang]:
    """Two ranks of somebody else's job; skips without two GPUs."""
    if len(gpu_uuids()) < 2:
        pytest.skip("needs two GPUs: two ranks of one communicator on one GPU are refused by NCCL")
    folder = tmp_path_factory.mktemp("job")
    (folder / "train.py").write_text(TRAIN)
    torch, nccl = versions()
    prepared = {row.name: row.value for row in exports(torch, nccl, str(folder))}
    print(f"\ntorch {torch}, NCCL {nccl}; prepared with {', '.join(prepared)}")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        f"--log-dir={folder / 'logs'}", "--redirects=3", str(folder / "train.py"),
    ]  # fmt: skip
    with (folder / "agent.log").open("wb") as log:
        agent = subprocess.Popen(command, env={**os.environ, **prepared}, stdout=log, stderr=log)
    try:
        job = await_hang(agent, folder)
        yield Hang(job, folder, collect(job, None, 8.0))
    finally:
        agent.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(45)
        agent.kill()


def versions() -> tuple[str, str]:
    program = "import torch; print(torch.__version__, '.'.join(map(str, torch.cuda.nccl.version())))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=START_S)
    torch, nccl = done.stdout.split()
    return torch, nccl


def await_hang(agent: subprocess.Popen[bytes], folder: Path) -> JobIdentity:
    """The job, once rank 1 sleeps and rank 0 has launched the collective that it waits in."""
    deadline = time.monotonic() + START_S
    why = ""
    while True:
        assert agent.poll() is None, (folder / "agent.log").read_text()[-3000:]
        assert time.monotonic() < deadline, f"{why}\n{(folder / 'agent.log').read_text()[-3000:]}"
        time.sleep(0.2)
        try:
            job = find_job(str(agent.pid))
            ras = ask(DEFAULT_ADDRESS, 2.0, {rank.inner_pid or rank.pid for rank in job.ranks})
        except (JobError, NoRas) as error:
            why = str(error)
            continue
        counts = {rank.counts.get("AllReduce") for one in ras.communicators for rank in one.ranks}
        why = f"RAS counts {counts}"
        if len(job.ranks) == 2 and counts == {BEFORE, BEFORE + 1}:
            return job


def state(rank: RankEvidence, source: str) -> SourceState:
    return next(one for one in rank.sources if one.source == source)


def test_every_source_that_can_speak_does(hang: Hang) -> None:
    print(f"collected in {hang.found.seconds} s")
    for rank in hang.found.ranks:
        for one in rank.sources:
            print(f"rank {rank.identity.rank} {one.source:12} {'yes' if one.available else 'no '} {one.why[:120]}")
        for source in ("process", "ras", "flight", "gpu", "log", *(["py-spy"] if find_pyspy() else [])):
            assert state(rank, source).available, (source, state(rank, source).why)
    keep(hang)


def keep(hang: Hang) -> None:
    if place := os.environ.get("TORCHDOCTOR_KEEP"):
        for path in hang.folder.glob("flight_rank_*"):
            shutil.copy(path, place)
        (Path(place) / "node_evidence.json").write_bytes(msgspec.json.encode(hang.found))


def test_ras_says_who_is_behind_and_says_it_twice(hang: Hang) -> None:
    assert len(hang.found.ras) == 2
    pids = {rank.identity.inner_pid or rank.identity.pid: rank.identity.rank for rank in hang.found.ranks}
    for ras in hang.found.ras:
        (one,) = ras.communicators
        print(ras.how, ras.nccl_version, one.complaints)
        assert {pids[rank.pid or 0]: rank.counts["AllReduce"] for rank in one.ranks} == {0: BEFORE + 1, 1: BEFORE}
        assert any("MISMATCH" in complaint and "AllReduce" in complaint for complaint in one.complaints)
    assert hang.found.ras[1].t_ns > hang.found.ras[0].t_ns


def test_the_text_form_says_the_same(hang: Hang) -> None:
    where = address_of(DEFAULT_ADDRESS)
    with socket.create_connection(where, timeout=10) as server:
        begun = time.perf_counter()
        server.sendall(b"CLIENT PROTOCOL 2\nVERBOSE STATUS\n")
        data = bytearray()
        while piece := server.recv(1 << 16):
            data += piece
        print(f"text after {(time.perf_counter() - begun) * 1e3:.1f} ms\n{data.decode()}")
    (one,) = parse_text(bytes(data), 0).communicators
    assert sorted(rank.counts["AllReduce"] for rank in one.ranks) == [BEFORE, BEFORE + 1]
    assert {rank.pid for rank in one.ranks} == {rank.inner_pid or rank.pid for rank in hang.job.ranks}


def test_ras_of_another_job_is_refused(hang: Hang) -> None:
    with pytest.raises(NoRas, match="answers for another job"):
        ask(DEFAULT_ADDRESS, 5.0, {1})


@pytest.mark.skipif(not find_pyspy(), reason="py-spy is not installed")
def test_the_stacks_name_both_call_sites(hang: Hang) -> None:
    groups = grouped({rank.identity.rank: rank.stacks[0] for rank in hang.found.ranks})
    for group in groups:
        print(group.ranks, group.what)
    sites = {group.ranks: group.what.rpartition(" in ")[2] for group in groups}
    assert sites == {(0,): "synchronise", (1,): "load_batch"}


def test_the_flight_recorder_comes_through_the_pipe(hang: Hang) -> None:
    told = {}
    for rank in hang.found.ranks:
        (flight,) = rank.flights
        last = flight.entries[-1]
        told[rank.identity.rank] = group = next(one for one in flight.groups if one.group == last.group)
        frames = [frame.function for frame in last.frames]
        print(rank.identity.rank, flight.how, flight.version, flight.backend, group, last.op, last.state, frames[:6])
        assert (flight.how, flight.backend) == ("pipe", "nccl")
        assert (last.op, last.input_sizes) == ("all_reduce", ((1 << 20,),))
        assert group.ranks in ((0, 1), ())
        assert "synchronise" in frames
    assert {rank: group.enqueued for rank, group in told.items()} == {0: BEFORE + 1, 1: BEFORE}
    assert told[0].completed == BEFORE


def test_the_waiting_gpu_is_busy_but_cold(hang: Hang) -> None:
    readings = {rank.identity.rank: rank.gpu for rank in hang.found.ranks}
    for rank, gpu in readings.items():
        print(rank, gpu)
        assert gpu is not None
        assert gpu.power_w is not None
        assert gpu.power_limit_w is not None
        assert gpu.power_w < 0.5 * gpu.power_limit_w
    assert readings[0] is not None
    assert readings[1] is not None
    assert readings[0].uuid != readings[1].uuid
    assert (readings[0].utilization_percent or 0) >= 90, "its kernel waits for the other rank, which counts as busy"


def test_what_comes_within_the_two_seconds_of_a_key_press(hang: Hang) -> None:
    begun = time.monotonic()
    found = collect_in_child(hang.job, None, 2.0)
    took = time.monotonic() - begun
    assert found.why == ""
    for rank in found.ranks:
        print(
            f"rank {rank.identity.rank}: {len(rank.stacks)} stack, flight by {[f.how for f in rank.flights]}, "
            f"gpu {rank.gpu is not None}, {len(found.ras)} answers of RAS; {took:.2f} s with the child's start"
        )
        assert rank.stacks or not find_pyspy()
    assert found.ras


def test_no_rank_was_touched(hang: Hang) -> None:
    for rank, reading in zip(hang.job.ranks, look(hang.job.ranks), strict=True):
        print(rank.rank, reading.state, reading.wchan, reading.tracer_pid)
        assert reading.state in ("R", "S")
        assert reading.tracer_pid == 0
