"""A rank that leaves after a call that was not its peers': told apart from one that only left early. By hand.

Over gloo, whose ranks notice: rank 0's operation runs into its timeout, it goes on and ends well with all its groups
destroyed; rank 1 has called another operation at the same place and looks at nothing any more.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from launched_job import Job, until

from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.node import NodeFolder

pytestmark = pytest.mark.trials

TRAIN = """
import datetime, sys, time
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
group = dist.new_group([0, 1], timeout=datetime.timedelta(seconds=2 if dist.get_rank() == 0 else 600))
for _ in range(400):
    dist.all_reduce(torch.ones(1024), group=group)
if dist.get_rank() == 0:
    work = dist.broadcast(torch.ones(16), 0, group=group, async_op=True)
    try:
        work.wait()
    except RuntimeError as error:
        print(error)
    dist.destroy_process_group()
    sys.exit(0)
work = dist.all_reduce(torch.ones(2048), group=group, async_op=True)
time.sleep(600)
"""


def verdict(node: NodeFolder) -> tuple[str, tuple[int, ...], str] | None:
    view = node.read_view()
    return None if view is None else (view.verdict.cause, view.verdict.ranks, view.verdict.line)


def test_a_rank_that_left_after_another_call_is_named_with_both_calls(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    options = LaunchOptions(torchrun=("--nproc-per-node", "2"), command=("train.py",), cwd=str(tmp_path))
    job = Job(tmp_path / "runs", options)
    try:
        (kept,) = until(lambda: list(job.node.flight.glob("*.r0.a0.json")), 90)
        found = until(lambda: (told := verdict(job.node)) and told[0] not in ("none", "unknown") and told)
        print(found)
        print(kept.name, kept.stat().st_size)
        assert (found[0], set(found[1])) == ("wrong-order", {0, 1})
        assert "broadcast" in found[2]
        assert "all_reduce" in found[2]
    finally:
        job.clear()
