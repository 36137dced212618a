"""Jobs without processes: views as a watcher writes them, a desk that answers from a table. No time passes in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from torchdoctor.desk import DeskError
from torchdoctor.interfaces import JobEngines
from torchprobes.distributed import JobVerdict, JobView, RankView, SourceState, StackGroup
from torchprobes.model import Evidence

GIB = 1 << 30
HOST = "gpu-node-07"
COMMAND = "python train.py --config configs/llama-8b.yaml --bf16"
RUN = "/runs/20260102T030405Z-gpu-node-07-abcdef"

FINE = (
    SourceState(source="process", available=True, why="/proc"),
    SourceState(source="log", available=True, why="stderr.log of its run directory"),
    SourceState(source="flight", available=True, why="worker server"),
)
DENIED = SourceState(
    source="py-spy", available=False, why="ptrace is forbidden: kernel.yama.ptrace_scope is 1 and the rank is no child",
    command="sudo sysctl kernel.yama.ptrace_scope=0",
)  # fmt: skip


def rank(number: int, state: str = "stepping", **changes: Any) -> RankView:
    """A rank of a healthy job on GPUs."""
    fields: dict[str, Any] = {
        "host": HOST, "pid": 41200 + number, "gpu": str(number % 8), "local_rank": number % 8,
        "start_ticks": 900 + number, "steps": 1840, "step_rate_hz": 3.12 + number / 100,
        "collective": "all_reduce #9203", "waiting_s": None,
        "quiet_s": 0.3, "lag_s": 0.00015 + number / 1e5, "last_share": 0.12, "memory_bytes": 61.2 * GIB,
        "memory_spread": 0.004, "rss_bytes": 9 * GIB, "gpu_utilization_percent": 98.0 - number % 8,
        "gpu_power_w": 640.0 - number,
        "cpu_percent": 101.0 + number % 8, "stdout": f"{RUN}/nodes/{HOST}/logs/{number}/stdout.log",
        "stderr": f"{RUN}/nodes/{HOST}/logs/{number}/stderr.log", "sources": (*FINE, DENIED),
    }  # fmt: skip
    return RankView(rank=number, state=state, **{**fields, **changes})


def view(ranks: tuple[RankView, ...], state: str = "running", **changes: Any) -> JobView:
    """A job of ours with these ranks."""
    fields: dict[str, Any] = {
        "job": "torchrun:td-5c1e90aa", "launcher": "torchdoctor", "command": COMMAND, "host": HOST, "user": "mara",
        "run": RUN, "world_size": len(ranks), "seconds": 754.0, "ours": True, "nodes": (HOST,),
    }  # fmt: skip
    return JobView(state=state, ranks=ranks, **{**fields, **changes})


HEALTHY = view(tuple(rank(number) for number in range(8)))

_LATE: dict[str, Any] = {"lag_s": 0.0213, "last_share": 1.0}

MANY = view(
    tuple(
        rank(number, host=f"gpu-node-{number // 8:02}", step_rate_hz=3.1, **(_LATE if number == 37 else {}))
        for number in range(64)
    ),
    nodes=tuple(f"gpu-node-{node:02}" for node in range(8)),
    verdict=JobVerdict(
        ranks=(37,), cause="straggler", sure=True, host="gpu-node-04",
        line="rank 37 on gpu-node-04 arrives 21.3 ms after the others in 182 of 182 collectives",
    ),
)  # fmt: skip

_KILLED = {"exit": "SIGTERM", "why": "ended by torchrun after rank 5", "waiting_s": None, "quiet_s": None,
           "step_rate_hz": None, "gpu_utilization_percent": 0.0, "gpu_power_w": 112.0, "cpu_percent": 0.0}  # fmt: skip

_RAISED = "RuntimeError: CUDA error: device-side assert triggered"

CRASHED = view(
    tuple(
        rank(number, "exited", **{**_KILLED, "exit": "exit code 1", "why": _RAISED})
        if number == 5 else rank(number, "killed", **_KILLED)
        for number in range(8)
    ),
    "failed",
    verdict=JobVerdict(
        ranks=(5,), cause="raised", sure=True, host=HOST, site="train.py:212 in loss_of",
        line=f"rank 5 on {HOST} raised {_RAISED}, at train.py:212 in loss_of; "
             "the 7 others were ended by torchrun 0.4 s later",
    ),
    evidence=(
        Evidence(kind="exit", text="rank 5 left with exit code 1 at 03:04:05.612, 0.41 s before the next"),
        Evidence(kind="log", text=f"rank 5 stderr: {_RAISED}", artifact="logs/5/stderr.log"),
        Evidence(kind="kernel", text="XID 43 on GPU 5 (0000:68:00.0), pid 41205, 0.2 s before its exit"),
        Evidence(kind="agent", text="torchrun sent SIGTERM to ranks 0–4, 6, 7 at 03:04:06.020"),
    ),
    notes=("torchrun's own summary names rank 0 as root cause: its stamps are whole seconds",),
)  # fmt: skip

_WAITS = {"collective": "all_reduce #9204", "waiting_s": 31.0, "quiet_s": None, "step_rate_hz": 0.0,
          "gpu_power_w": 131.0, "why": "at train.py:208"}  # fmt: skip
_HANGS = {"waiting_s": None, "quiet_s": 31.4, "step_rate_hz": 0.0, "gpu_utilization_percent": 0.0, "gpu_power_w": 112.0,
          "cpu_percent": 0.1, "why": "at data.py:88 (fetch)"}  # fmt: skip
_WAITING = tuple(
    rank(number, "hung", **_HANGS) if number == 2 else rank(number, "waiting", **_WAITS) for number in range(8)
)

HUNG = view(
    _WAITING, "stuck",
    verdict=JobVerdict(
        ranks=(2,), cause="hung-in-collective", sure=False, host=HOST, site="data.py:88 (fetch)",
        line="no progress for 31 s: ranks 0, 1 and 3–7 wait in all_reduce #9204 for rank 2 on gpu-node-07, which is at "
        "data.py:88 (fetch), using no CPU; not sure: one look only so far",
        doubt="one look only so far",
    ),
    evidence=(
        Evidence(kind="flight", text="ranks 0, 1 and 3–7 in all_reduce #9204: rank 2 called #9203 last; "
                 "ranks 0, 1 and 3–7 called #9204 last"),
        Evidence(kind="stack", text="rank 2 is in time.sleep, called by fetch at data.py:88",
                 artifact="evidence/2.json"),
        Evidence(kind="gpu", text="7 GPUs are 100 % busy at 131 W of 700 W: they wait; GPU 2 is idle"),
    ),
    stacks=(
        StackGroup(ranks=(2,), what="in time.sleep, called by fetch at data.py:88", text=(
            "sleep (built-in)", "fetch (data.py:88)", "__next__ (torch/utils/data/dataloader.py:734)",
            "train (train.py:140)", "<module> (train.py:301)")),
        StackGroup(ranks=(0, 1, 3, 4, 5, 6, 7), what="wait for all_reduce in backward at train.py:164", text=(
            "all_reduce (torch/distributed/distributed_c10d.py:2810)", "wrapper (torch/distributed/c10d_logger.py:81)",
            "train (train.py:164)", "<module> (train.py:301)")),
    ),
)  # fmt: skip

CPU_JOB = view(
    tuple(
        rank(number, gpu="", memory_bytes=None, memory_spread=None, gpu_utilization_percent=None, gpu_power_w=None,
             rss_bytes=int(0.31 * GIB))
        for number in range(4)
    ),
    ours=False, launcher="torchrun", run="", user="jonas", job="torchrun:none",
)  # fmt: skip


def summary(key: str, state: str = "running", **changes: Any) -> dict[str, Any]:
    """A row of the desk's list."""
    fields: dict[str, Any] = {
        "key": key, "name": key, "launcher": "torchrun", "ranks": 8, "world_size": 8, "user": "mara", "host": HOST,
        "command": COMMAND, "state": state, "run": "", "started_ns": 0, "notes": [], "ours": False,
    }  # fmt: skip
    return {**fields, **changes}


HIDDEN = "3 processes of other users hide their environment (hidepid): sudo torchdoctor jobs shows them"
OURS = summary("torchrun:td-5c1e90aa", name="train.py", launcher="torchdoctor", run=RUN, ours=True)
FOREIGN = summary("slurm:4711.0", launcher="srun", world_size=64, user="jonas", notes=[HIDDEN])
ENDED = summary(
    "torchrun:td-0badf00d", "failed", name="pretrain.py", launcher="torchdoctor", run="/runs/older", ours=True,
    cause="oom", sure=True, line="rank 3 on gpu-node-07 was killed by the kernel: out of memory",
)  # fmt: skip
SPAWN = summary(
    "spawn:3301", launcher="spawn", ranks=2, world_size=2, user="root", command="python -c mp.spawn",
    cause="hung-in-collective", line="no progress for 40 s: rank 0 waits in backward for rank 1; not sure: "
    "one look only so far",
)  # fmt: skip


BEGAN_NS = 1_790_000_000 * 10**9


def begun(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, begun at a time."""
    return [{**row, "started_ns": BEGAN_NS - 4000 * 10**9 * place} for place, row in enumerate(rows)]


@dataclass
class FakeJobs:
    """What the desk answers, and what it was asked."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    view: JobView | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    stopped: bool = False

    def engines(self) -> JobEngines:
        return JobEngines(
            desk=self, views=self._views, ranks=lambda *_: lambda: HEALTHY,
            diagnose=lambda run: self._did("diagnose " + run), export=lambda view, run: self._did(f"{run}/job.json"),
        )  # fmt: skip

    def _views(self, run: str) -> Callable[[], JobView | None]:
        self.done.append("views " + run)
        return lambda: self.view

    def _did(self, what: str) -> str:
        self.done.append(what)
        return what

    def ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        self.asked.append((question, arguments))
        if question == "list":
            return {"jobs": list(self.rows), "notes": list(self.notes)}
        answer = self.answers.get(question)
        if isinstance(answer, str) and answer.startswith("!"):
            raise DeskError(answer[1:])
        return answer

    def stop(self) -> None:
        self.stopped = True


def changed(view: JobView, **changes: Any) -> JobView:
    return msgspec.structs.replace(view, **changes)
