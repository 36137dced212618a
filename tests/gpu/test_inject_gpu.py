"""What is put into a launched rank, on a GPU: what it tells of NCCL and of device memory, and what it costs a step."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from torchprobes import rundir
from torchprobes.jobs import control, launch
from torchprobes.jobs.flight.parse import parse
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.jobs.node import NodeFolder, node_folder
from torchprobes.model import Target

pytestmark = pytest.mark.gpu

LIMIT = 0.001
"""The share of a step's time that everything of ours may take."""

TRAIN = """
import glob, json, os, sys, time, timeit
import torch
import torch.distributed as dist

local = int(os.environ["LOCAL_RANK"])
torch.cuda.set_device(local)
dist.init_process_group("nccl")
body = torch.nn.Sequential(*(torch.nn.Linear(2048, 2048) for _ in range(8))).cuda()
model = torch.nn.parallel.DistributedDataParallel(body, device_ids=[local])
optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
batch = torch.randn(4096, 2048, device="cuda")
times, end = [], time.monotonic() + 12
go = torch.ones(1, device="cuda")
while True:
    begin = time.perf_counter()
    model(batch).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    torch.cuda.synchronize()
    times.append(time.perf_counter() - begin)
    go.fill_(1.0 if time.monotonic() < end else 0.0)
    dist.all_reduce(go, op=dist.ReduceOp.MIN)
    if not go.item():
        break
costs = {}
beat = sys.modules.get("torchdoctor_beat")
if beat is not None:
    class Kept:  # the looks of a whole beat, and its writes into the rank's own file
        write = staticmethod(lambda *a, **k: json.dumps([a, k]))
        fact = staticmethod(lambda *a, **k: None)
        ours = True
    groups = sys.modules["torchdoctor_groups"].Groups(Kept, sys.modules["torchdoctor_record"].newest)
    one = beat.Beat(Kept, lambda events: None, groups)
    one.beat()
    one.steps.want_memory = False
    costs["hook_us"] = min(timeit.repeat(lambda: one.steps(optimizer), number=10000, repeat=5)) * 100
    def whole():
        groups.told = {}
        one._told["phase"] = ""
        one.steps(optimizer)
        one.beat()
    (server,) = glob.glob("/tmp/torchdoctor-%d-ranks/%d-*" % (os.getuid(), os.getpid()))
    newest = sys.modules["torchdoctor_record"].newest
    costs["last_words_ms"] = min(timeit.repeat(lambda: newest(server), number=1, repeat=5)) * 1000
    costs["beat_us"] = min(timeit.repeat(whole, number=200, repeat=5)) * 5000
print(json.dumps({"times": times[20:], **costs}), flush=True)
dist.destroy_process_group()
"""


def until(what: Callable[[], Any], deadline_s: float = 80.0) -> Any:
    """Wait for `what`, by polling."""
    end = time.monotonic() + deadline_s
    while not (found := what()):
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.02)
    return found


def launched(tmp_path: Path, ranks: int, inject: bool) -> tuple[NodeFolder, list[dict[str, Any]]]:
    """One launch to its end; what each rank printed at its end."""
    (tmp_path / "train.py").write_text(TRAIN)
    run = rundir.create(tmp_path / "runs", "job")
    options = LaunchOptions(
        torchrun=("--nproc-per-node", str(ranks)), command=("train.py",), cwd=str(tmp_path), inject=inject
    )
    plan = launch.plan(Target(python=sys.executable, torch=version("torch")), options, run)
    launch.start(run, plan)
    node = node_folder(run)
    try:
        until(lambda: run.info.finished)
    finally:
        control.stop(run, 20.0)
    end = control.ending(node)
    assert end is not None
    errors = "\n".join(path.read_text()[-2000:] for path in node.logs.glob("*/attempt_0/*/stderr.log"))
    assert end["exit_code"] == 0, errors
    outputs = sorted(node.logs.glob("*/attempt_0/*/stdout.log"))
    return node, [json.loads(path.read_text().splitlines()[-1]) for path in outputs]


def test_a_launched_rank_tells_of_nccl_and_memory_and_costs_next_to_nothing(tmp_path: Path) -> None:
    import torch

    ranks = min(2, torch.cuda.device_count())
    node, with_it = launched(tmp_path, ranks, inject=True)
    _, without = launched(tmp_path, ranks, inject=False)
    files = sorted(node.events.iterdir())
    assert len(files) == ranks
    for file in files:
        told = [json.loads(line) for line in file.read_text().splitlines()]
        facts = {event["name"]: event["evidence"] for event in told if event["ev"] == "fact"}
        assert "inject.beat" not in facts, facts
        last = {event["ev"]: event for event in told}
        print(file.name, {ev: {k: last[ev].get(k) for k in ("name", "value", "n", "labels")} for ev in last})
        assert last["step"]["n"] > 20
        assert last["mem"]["value"] > 8 * 2048 * 2048 * 4
        assert int(last["coll"]["labels"]["enqueued"]) > 20
        assert any("server" in event.get("labels", {}) for event in told) or "inject.server" in facts
        assert any(event.get("labels", {}).get("device", "").startswith("cuda:") for event in told)
        kept = parse((node.flight / f"{file.stem}.json").read_bytes(), "file", 0)  # its groups were destroyed by then
        print(
            f"kept: {len(kept.entries)} of {kept.backend}, the last {kept.entries[-1].op} number {kept.entries[-1].seq}"
        )
        assert (kept.backend, kept.entries[-1].op) == ("nccl", "all_reduce")
        assert kept.entries[-1].seq == int(last["coll"]["labels"]["enqueued"])
    for rank, (one, bare) in enumerate(zip(with_it, without, strict=True)):
        step = statistics.median(one["times"])
        other = statistics.median(bare["times"])
        share = one["hook_us"] * 1e-6 / step + 2 * one["beat_us"] * 1e-6
        print(
            f"rank {rank}: hook {one['hook_us']:.2f} µs, beat {one['beat_us']:.0f} µs twice a second = {share:.4%} of "
            f"a step of {step * 1e3:.2f} ms; medians with {step * 1e3:.3f}, without {other * 1e3:.3f} ms "
            f"({step / other - 1:+.2%}), n {len(one['times'])}/{len(bare['times'])}; "
            f"last words {one['last_words_ms']:.1f} ms"
        )
        assert share < LIMIT
