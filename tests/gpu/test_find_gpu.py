"""Rank to pid to GPU of jobs over NCCL that torchdoctor did not start: torchrun, and mp.spawn without any RANK.

Run by hand: `pytest -m gpu -s tests/gpu/test_find_gpu.py`; it prints the figures. About 40 s on two GPUs.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_ddp_gpu import gpu_uuids

from torchprobes.distributed import JobIdentity
from torchprobes.jobs.find import find_jobs
from torchprobes.jobs.find.gpus import with_gpus
from torchprobes.jobs.sources import all_sources
from torchprobes.telemetry import take_sample

pytestmark = pytest.mark.gpu

START_S = 120.0
TRAIN = """
import json, os, sys, time
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
def run(rank, world, port):
    torch.cuda.set_device(world - 1 - rank)  # the other way round: what is told must be what was seen
    dist.init_process_group("nccl", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    held = torch.ones(64 << 20, device="cuda")
    dist.all_reduce(held)
    torch.cuda.synchronize()
    path = os.path.join(os.environ["TOLD"], f"{rank}.json")
    with open(path + ".new", "w") as file:
        json.dump({"rank": rank, "pid": os.getpid()}, file)
    os.rename(path + ".new", path)
    time.sleep(600)
if __name__ == "__main__":
    world, port = int(sys.argv[1]), int(sys.argv[2])
    if "RANK" in os.environ:
        run(int(os.environ["RANK"]), world, port)
    else:
        mp.spawn(run, args=(world, port), nprocs=world)
"""


@contextlib.contextmanager
def training(folder: Path, start: list[str], world: int, port: int) -> Iterator[dict[int, int]]:
    """The ranks while they hold their GPUs: rank -> pid, as they told it."""
    told = folder / "told"
    told.mkdir()
    program = folder / "train.py"
    program.write_text(TRAIN)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *start, str(program), str(world), str(port)], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, env={**os.environ, "TOLD": str(told)},
        )  # fmt: skip
    pids: dict[int, int] = {}
    try:
        end = time.monotonic() + START_S
        while len(list(told.glob("*.json"))) < world:
            assert process.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < end, (folder / "log").read_text()[-3000:]
            time.sleep(0.05)
        words = [json.loads(path.read_text()) for path in told.glob("*.json")]
        pids = {word["rank"]: word["pid"] for word in words}
        yield pids
    finally:
        for pid in pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def found_by(pids: dict[int, int]) -> JobIdentity:
    began = time.monotonic()
    found = find_jobs(deadline_s=10.0)
    print(f"\nfound in {1e3 * (time.monotonic() - began):.0f} ms, of which {1e3 * found.seconds:.1f} ms looking")
    jobs = [job for job in found.jobs if {rank.pid for rank in job.ranks} & set(pids.values())]
    assert len(jobs) == 1, found
    assert {rank.rank: rank.pid for rank in jobs[0].ranks} == pids
    return jobs[0]


@pytest.mark.parametrize(
    ("start", "launcher", "port"),
    [
        (["-m", "torch.distributed.run", "--standalone", "--nproc-per-node={world}"], "torchrun", 29641),
        ([], "spawn", 29642),
    ],
)
def test_each_rank_is_on_the_gpu_that_it_holds(tmp_path: Path, start: list[str], launcher: str, port: int) -> None:
    uuids = gpu_uuids()
    if not uuids:
        pytest.skip("no NVIDIA GPU here")
    world = min(2, len(uuids))
    with training(tmp_path, [word.format(world=world) for word in start], world, port) as pids:
        job = found_by(pids)
        assert job.launcher == launcher
        sample = take_sample(15.0)
        known = with_gpus(job, sample)
        print([(rank.rank, rank.pid, rank.gpu_index, rank.gpu_uuid) for rank in known.ranks], known.notes)
        if not any(process.pid in pids.values() for process in sample.processes):
            pytest.skip("the driver lists pids of another namespace here: only an assumption is left")
        assert [rank.gpu_uuid for rank in known.ranks] == [uuids[world - 1 - rank] for rank in range(world)]
        tables = all_sources(known.ranks, 10.0)
    for table in tables:
        rows = {row.source: row for row in table}
        print({name: (row.available, row.why) for name, row in rows.items()})
        for name in ("process", "exit", "gpu", "log"):
            assert rows[name].available, rows[name]
        assert rows["ras"].available or rows["ras"].why
        assert rows["py-spy"].available or rows["py-spy"].command
