"""A watched job on GPUs: what each row says of its GPU, the arrival lag, and what watching costs; it prints them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from torchprobes import rundir
from torchprobes.distributed import JobView
from torchprobes.jobs import control, launch
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.node import NodeFolder, node_folder
from torchprobes.model import Target

pytestmark = pytest.mark.gpu

WATCHED_S = 20.0
MOST_CORE = 0.02
"""What watching 8 ranks may cost of a core; here there are fewer."""

TRAIN = """
import os, time
import torch
import torch.distributed as dist

local, end = int(os.environ["LOCAL_RANK"]), time.monotonic() + 80
torch.cuda.set_device(local)
dist.init_process_group("nccl")
body = torch.nn.Sequential(*(torch.nn.Linear(2048, 2048) for _ in range(4))).cuda()
model = torch.nn.parallel.DistributedDataParallel(body, device_ids=[local]) if dist.get_world_size() > 1 else body
optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
batch = torch.randn(1024, 2048, device="cuda")
while time.monotonic() < end:
    if local == 1:
        time.sleep(0.01)
    model(batch).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    torch.cuda.synchronize()
"""


def until(what: Callable[[], Any], deadline_s: float) -> Any:
    end = time.monotonic() + deadline_s
    while not (found := what()):
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.1)
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of a living process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Of all threads of it: the sampler is started by one."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def resident_mib(pid: int) -> float:
    rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS")) / 1024


def test_rows_tell_of_their_gpus_and_watching_costs_next_to_nothing(tmp_path: Path) -> None:
    import torch

    ranks = min(2, torch.cuda.device_count())
    (tmp_path / "train.py").write_text(TRAIN)
    run = rundir.create(tmp_path / "runs", "job")
    options = LaunchOptions(torchrun=("--nproc-per-node", str(ranks)), command=("train.py",), cwd=str(tmp_path))
    plan = launch.plan(Target(python=sys.executable, torch=version("torch")), options, run)
    launch.start(run, plan)
    node = node_folder(run)
    try:
        look(node, ranks)
    finally:
        print(control.stop(run, 30.0))
    last = node.read_view()
    assert last is not None
    assert last.state == "stopped"


def look(node: NodeFolder, ranks: int) -> None:
    def stepping() -> JobView | None:
        (node.path / "watched").touch()
        view = node.read_view()
        rows = view.ranks if view is not None else ()
        ready = len(rows) == ranks and all(row.steps and row.gpu_power_w is not None for row in rows)
        return view if ready else None

    until(stepping, 60)
    watcher = next(record["pid"] for record in control.records(node) if record.get("ev") == "watcher")
    pids = [watcher, *children(watcher)]
    before, begin = {pid: cpu_s(pid) for pid in pids}, time.monotonic()
    while time.monotonic() < begin + WATCHED_S:
        (node.path / "watched").touch()
        time.sleep(1)
    spent = {pid: (cpu_s(pid) - before[pid]) / (time.monotonic() - begin) for pid in pids}
    view = node.read_view()
    assert view is not None
    for row in view.ranks:
        print(
            f"rank {row.rank}: gpu {row.gpu} {row.gpu_utilization_percent} % {row.gpu_power_w} W, {row.state}, "
            f"{row.step_rate_hz} steps/s, {row.collective}, lag {row.lag_s} last {row.last_share}, "
            f"memory {row.memory_bytes} spread {row.memory_spread}, cpu {row.cpu_percent} %"
        )
    print(view.state, view.verdict)
    print(f"watcher {spent[watcher]:.2%} of a core, {resident_mib(watcher):.0f} MiB; ", end="")
    print("its children", {pid: f"{share:.2%}, {resident_mib(pid):.0f} MiB" for pid, share in list(spent.items())[1:]})
    assert len({row.gpu for row in view.ranks} - {""}) == ranks, "each rank is on a GPU of its own"
    assert all(row.memory_bytes and row.gpu_utilization_percent is not None for row in view.ranks)
    assert spent[watcher] <= MOST_CORE
    if ranks > 1:
        late = {row.rank: row.lag_s for row in view.ranks}
        assert None not in late.values(), f"somebody looked for {WATCHED_S} s, and no lag was read"
        assert (late[1] or 0.0) > (late[0] or 0.0)
