"""One real launch: the target's torchrun, two gloo ranks that train, with everything that is put into them."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from launched_job import Job, lines, until

from torchprobes.distributed import RankIdentity
from torchprobes.jobs import control, worker_server
from torchprobes.jobs.launch import LaunchOptions
from torchprobes.runner import processes
from torchprobes.runner.events import EventTail

TRAIN = """
import os, signal, sys, time
import torch
import torch.distributed as dist
for number in (signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, lambda n, f: print("signal", n, flush=True))
dist.init_process_group("gloo")
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 4))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
print("rank", dist.get_rank(), sys.argv[1:], "PYTHONPATH" in os.environ, flush=True)
while True:
    model(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    time.sleep(0.01)
"""


def events_of(job: Job) -> dict[int, list[dict[str, Any]]]:
    """Rank -> its events."""
    files = sorted(job.node.events.iterdir())
    return {int(file.name.split(".r")[1].split(".")[0]): lines(file) for file in files}


def said_all(events: dict[int, list[dict[str, Any]]]) -> bool:
    """Whether both ranks told of their steps, their collectives, and their server."""
    wanted = {"start", "init", "hb", "step", "coll"}
    return len(events) == 2 and all(
        wanted <= {event["ev"] for event in one} and any("server" in event.get("labels", {}) for event in one)
        for one in events.values()
    )


def test_launch_watch_and_stop(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAIN)
    options = LaunchOptions(
        torchrun=("--nproc_per_node", "2"), command=("train.py", "--lr", "x y"), cwd=str(tmp_path), grace_s=20.0
    )
    os.environ.pop("PYTHONPATH", None)
    job = Job(tmp_path / "runs", options)
    try:
        events = until(lambda: said_all(found := events_of(job)) and found, 120.0)
        for rank, told in events.items():
            labels = {name: text for event in told if event["ev"] == "init" for name, text in event["labels"].items()}
            steps = [event for event in told if event["ev"] == "step"]
            assert steps[-1]["n"] > 0
            group = [event for event in told if event["ev"] == "coll"][-1]
            assert int(group["labels"]["enqueued"]) > 0
            assert labels["torch"].startswith("2.")
            place = os.lstat(labels["server"])
            assert stat.S_ISSOCK(place.st_mode)
            assert stat.S_IMODE(os.stat(os.path.dirname(labels["server"])).st_mode) == 0o700
            entry = processes.read(told[0]["pid"])
            assert entry is not None
            identity = RankIdentity(rank=rank, pid=entry.pid, start_ticks=entry.start, uid=os.getuid())
            assert b"train.py" in worker_server.ask(labels["server"], "dump_traceback", identity, 5.0)
        logs = {path.parent.name: path.read_text() for path in job.node.logs.glob("*/attempt_0/*/stdout.log")}
        assert logs == {rank: f"rank {rank} ['--lr', 'x y'] False\n" for rank in ("0", "1")}
        recorded = {record["pid"] for record in job.records("process")}
        assert {one[0]["pid"] for one in events.values()} <= recorded
        assert control.stop(job.run, 40.0) == "stopped; nothing is left of it"
        assert job.all_living() == set()
        end = control.ending(job.node)
        assert end is not None
        assert (end["stopped"], end["not_ended"]) == (True, [])
        assert not any("signal" in text for text in logs.values())
    finally:
        job.clear()
    assert sys.executable in job.plan.shown


@pytest.mark.trials
@pytest.mark.parametrize(
    "words", [("--run-path",), ("--no-python",), ("-m",), ("--standalone", "-t", "3")], ids=" ".join
)
def test_other_ways_to_name_what_runs(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "train.py").write_text("import os, sys; print('rank', os.environ['RANK'], __name__, sys.argv[1:])\n")
    command = {"--no-python": (sys.executable, "train.py"), "-m": ("train",)}.get(words[0], ("train.py",))
    job = Job(tmp_path / "runs", LaunchOptions(torchrun=words, command=(*command, "x"), cwd=str(tmp_path)))
    try:
        until(lambda: job.ended)
        end = control.ending(job.node)
        assert end is not None
        assert end["exit_code"] == 0, job.node.agent_log.read_text()
        said = [path.read_text() for path in job.node.logs.glob("*/attempt_0/0/stdout.log")]
        assert said == ["rank 0 __main__ ['x']\n"]
        assert [event["ev"] for event in events_of(job)[0]][-1] == "end"
    finally:
        job.clear()


@pytest.mark.trials
def test_the_built_in_probe_as_ranks(tmp_path: Path) -> None:
    job = Job(tmp_path / "runs", LaunchOptions(preset="ddp", env={"CUDA_VISIBLE_DEVICES": ""}))
    try:
        until(lambda: job.ended, 300.0)
        end = control.ending(job.node)
        assert end is not None
        assert end["exit_code"] == 0, job.node.agent_log.read_text()
        told = EventTail(job.node.path / "probe" / "events").poll()
        assert [event.ok for event in told if event.ev == "end"] == [True, True]
        assert any(event.name == "allreduce_us" or event.ev == "figure" for event in told)
    finally:
        job.clear()
