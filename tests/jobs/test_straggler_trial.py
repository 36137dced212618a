"""A rank 20 ms late of four over gloo, and the same job without: named, and nobody named. By hand: -m trials -s."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from launched_job import Job, lines, until

from torchprobes.jobs.collect import collect
from torchprobes.jobs.find import find_jobs
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.verdict import judge

pytestmark = pytest.mark.trials

TRAIN = """
import sys, time, torch
import torch.distributed as dist
dist.init_process_group("gloo")
torch.set_num_threads(1)
late = float(sys.argv[1]) if dist.get_rank() == 2 else 0.0
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 4))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
while True:
    time.sleep(0.05 + late)
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
"""
WATCHED_S = 25.0


@pytest.mark.parametrize("late_s", [0.02, 0.0])
def test_a_late_rank_is_named_by_itself(tmp_path: Path, late_s: float) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    options = LaunchOptions(torchrun=("--nproc_per_node", "4"), command=("train.py", str(late_s)), cwd=str(tmp_path))
    job = Job(tmp_path / "runs", options)
    try:
        until(lambda: (view := job.node.read_view()) and all(rank.steps for rank in view.ranks) and view.ranks, 120.0)
        steps = time.monotonic()

        def named() -> bool:
            return any(r["ev"] == "verdict" and r["cause"] == "straggler" for r in lines(job.node.watch))

        while not named() and time.monotonic() - steps < WATCHED_S:
            time.sleep(0.1)
        took = time.monotonic() - steps
        looks = [record for record in lines(job.node.watch) if record["ev"] == "lags"]
        view = job.node.read_view()
        assert view is not None
        print(f"\nlate {late_s * 1e3:.0f} ms: {took:.1f} s after all stepped: {view.verdict.line}")
        print("a look at four recorders costs", [f"{look['cost_s'] * 1e3:.1f} ms" for look in looks])
        print("lags", [(rank.rank, round((rank.lag_s or 0) * 1e3, 2), rank.last_share) for rank in view.ranks])
        by_hand = _by_hand(job)
        print("without a watcher:", by_hand)
        if late_s:
            assert (view.verdict.ranks, view.verdict.cause) == ((2,), "straggler")
            assert took < 15.0
            assert "straggler" in by_hand
        else:
            assert looks
            assert "straggler" not in (view.verdict.cause, by_hand)
    finally:
        job.clear()


def _by_hand(job: Job) -> str:
    """What a diagnosis of the same job says that knows nothing of what its watcher saw."""
    view = job.node.read_view()
    pids = {rank.pid for rank in view.ranks} if view is not None else set()
    found = next(one for one in find_jobs(deadline_s=5.0).jobs if {rank.pid for rank in one.ranks} == pids)
    verdict = judge([collect(found, job.node, 4.0)]).verdict
    return f"{verdict.ranks} {verdict.cause}, sure {verdict.sure}: {verdict.line}"
