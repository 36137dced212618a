"""Jobs on two GPUs through the public command: the verdict on each, and what it rests on. Prints what it came to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

PYTHON = os.environ.get("PATIENT", sys.executable)

TRAIN = """
import datetime, os, sys, time
import torch
import torch.distributed as dist

fault, at = sys.argv[1], 200
rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
torch.cuda.set_device(local)
dist.init_process_group("nccl", timeout=datetime.timedelta(seconds=600))
body = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024) for _ in range(4))).cuda()
model = torch.nn.parallel.DistributedDataParallel(body, device_ids=[local])
optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
batch = torch.randn(512, 1024, device="cuda")


def late():
    time.sleep(0.02)


def marked():
    with open("fault", "w") as file:
        file.write(str(time.time_ns()))


def go_wrong():
    marked()
    if fault == "raise":
        raise ValueError("bad batch")
    if fault == "assert":
        torch.zeros(4, device="cuda")[torch.tensor([9], device="cuda")].sum().item()
    if fault == "hang":
        time.sleep(3600)


step = 0
end = time.monotonic() + float(sys.argv[2])
while fault not in ("healthy", "late") or time.monotonic() < end or step < at + 50:
    if rank == 1 and fault == "late":
        late()
    if step == at and rank == 1:
        go_wrong()
    if step == at and fault == "shape":
        wrong = torch.ones(1024 * (1 + rank), device="cuda")
        if rank == 1:
            marked()
        dist.all_reduce(wrong)
        torch.cuda.synchronize()
        if rank == 0:
            sys.exit(0)
    model(batch).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    torch.cuda.synchronize()
    step += 1
    if fault in ("healthy", "late") and step > at + 50:
        left = torch.tensor([max(0.0, end - time.monotonic())], device="cuda")
        dist.all_reduce(left, op=dist.ReduceOp.MAX)
        if not float(left):
            break
dist.destroy_process_group()
"""


def gpus() -> int:
    """How many GPUs the patient's torch sees, asked in a process of its own."""
    words = [PYTHON, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout)


class Launched:
    """One launch through the command, and its run directory."""

    def __init__(self, place: Path, fault: str, seconds: float = 0.0) -> None:
        self.folder = place / fault
        self.folder.mkdir(parents=True)
        (self.folder / "train.py").write_text(TRAIN)
        words = [
            *(sys.executable, "-m", "torchdoctor", "launch", "--headless", "--json", "out.json", "--python", PYTHON),
            *("--out", str(self.folder / "runs"), "--force", "--nproc-per-node", "2"),
            *("--", "train.py", fault, str(seconds)),
        ]
        self.said = (self.folder / "said").open("w")
        self.process = subprocess.Popen(
            words, cwd=self.folder, stdout=self.said, stderr=self.said, stdin=subprocess.DEVNULL
        )

    @property
    def run(self) -> Path | None:
        return next(iter((self.folder / "runs").glob("2*")), None)

    def view(self) -> dict[str, Any]:
        """The newest view, {} before the first."""
        path = next(iter(self.run.glob("nodes/*/view.json")), None) if self.run else None
        try:
            return dict(json.loads(path.read_bytes())) if path else {}
        except (OSError, ValueError):
            return {}

    def fault_ns(self) -> int | None:
        try:
            return int((self.folder / "fault").read_text() or 0) or None
        except OSError:
            return None

    def until(self, what: Callable[[dict[str, Any]], Any], deadline_s: float) -> dict[str, Any]:
        """The first view of which `what` is true; the last one at the deadline."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            view = self.view()
            if view and what(view):
                return view
            time.sleep(0.02)
        pytest.fail(f"not within {deadline_s} s: {json.dumps(self.view())[:3000]}\n{self.words()[-3000:]}")

    def words(self) -> str:
        self.said.flush()
        return (self.folder / "said").read_text()

    def torchdoctor(self, *words: str) -> str:
        """What a command about this run says."""
        ran = subprocess.run(
            [sys.executable, "-m", "torchdoctor", *words], capture_output=True, text=True, timeout=60, check=False
        )
        return ran.stdout + ran.stderr

    def stop(self) -> None:
        if self.process.poll() is None and self.run is not None:
            print(self.torchdoctor("stop", "--yes", str(self.run)).strip())
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.said.close()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    if gpus() < 2:
        pytest.skip("needs two GPUs")
    started: list[Launched] = []

    def start(fault: str, seconds: float = 0.0) -> Launched:
        started.append(Launched(tmp_path / str(len(started)), fault, seconds))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def tell(name: str, view: dict[str, Any], since_ns: int | None = None) -> None:
    """Print a verdict and what it rests on."""
    after = f" {(time.time_ns() - since_ns) / 1e9:.2f} s after the fault" if since_ns else ""
    verdict = view["verdict"]
    print(f"\n== {name}: {verdict['cause']} {verdict['ranks']} sure={verdict['sure']}{after}\n   {verdict['line']}")
    for rank in view["ranks"]:
        keys = ("rank", "gpu", "state", "exit", "step_rate_hz", "lag_s", "memory_bytes", "memory_spread")
        print("  ", {k: rank.get(k) for k in (*keys, "gpu_utilization_percent", "gpu_power_w", "cpu_percent")})
    for item in view["evidence"][:12]:
        print("    ", item["kind"], "|", item["text"][:220])


def test_a_healthy_job(launch: Callable[..., Launched]) -> None:
    one = launch("healthy", 15.0)
    stepping = one.until(lambda v: v["ranks"] and all(r["step_rate_hz"] for r in v["ranks"]), 60)
    tell("healthy, running", one.until(lambda v: all(r["gpu_power_w"] for r in v["ranks"]), 20))
    assert stepping["verdict"]["cause"] == "none"
    assert one.process.wait(60) == 0, one.words()
    end = one.view()
    tell("healthy, ended", end)
    assert (end["verdict"]["cause"], end["state"]) == ("none", "ended")
    assert len({r["gpu"] for r in end["ranks"]}) == 2


@pytest.mark.parametrize(("fault", "causes"), [("raise", {"raised"}), ("assert", {"raised", "gpu-fault"})])
def test_a_crash(launch: Callable[..., Launched], fault: str, causes: set[str]) -> None:
    one = launch(fault)
    view = one.until(lambda v: v["verdict"]["ranks"] == [1] and v["verdict"]["cause"] in causes, 90)
    tell(fault, view, one.fault_ns())
    assert one.process.wait(90) == 1, one.words()
    end = one.view()
    tell(f"{fault}, ended", end)
    assert end["verdict"]["ranks"] == [1]
    assert end["verdict"]["cause"] in causes
    assert "train.py" in end["verdict"]["line"]


def test_a_hang(launch: Callable[..., Launched]) -> None:
    one = launch("hang")
    view = one.until(lambda v: v["verdict"]["cause"] == "hung-in-collective" and v["verdict"]["ranks"] == [1], 90)
    took = (time.time_ns() - (one.fault_ns() or 0)) / 1e9
    tell("hang", view, one.fault_ns())
    assert not view["verdict"]["sure"]
    assert took < 15
    full = one.until(lambda v: len(v["stacks"]) >= 2 and any(e["kind"] == "ras" for e in v["evidence"]), 30)
    tell("hang, with stacks and RAS", full)
    print(one.torchdoctor("diagnose", str(one.run))[:4000])
    assert "train.py" in full["verdict"]["line"]
    assert {rank for group in full["stacks"] for rank in group["ranks"]} == {0, 1}


def test_wrong_shapes_that_nothing_names(launch: Callable[..., Launched]) -> None:
    one = launch("shape")
    view = one.until(lambda v: v["verdict"]["cause"] in ("wrong-shape", "returned-early"), 90)
    tell("shape", view, one.fault_ns())
    view = one.until(lambda v: v["verdict"]["cause"] == "wrong-shape", 60)
    tell("shape, named", view, one.fault_ns())
    assert set(view["verdict"]["ranks"]) <= {0, 1}
    print(one.torchdoctor("diagnose", str(one.run))[:3000])


def test_a_rank_that_is_late(launch: Callable[..., Launched]) -> None:
    one = launch("late", 40.0)
    view = one.until(lambda v: v["verdict"]["cause"] == "straggler" and v["verdict"]["ranks"] == [1], 60)
    tell("20 ms late", view)
    late = next(r for r in view["ranks"] if r["rank"] == 1)
    assert 0.012 < late["lag_s"] < 0.04


def test_two_jobs_at_once(launch: Callable[..., Launched]) -> None:
    sound, sick = launch("healthy", 30.0), launch("hang")
    hung = sick.until(lambda v: v["verdict"]["cause"] == "hung-in-collective" and v["verdict"]["ranks"] == [1], 120)
    well = sound.view()
    tell("two jobs: the hung one", hung)
    tell("two jobs: the sound one", well)
    assert well["verdict"]["cause"] == "none"
    listed = sound.torchdoctor("jobs", "--json", "--out", str(sound.folder / "runs"))
    print(listed[:1500])
