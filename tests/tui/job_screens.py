"""The screens of the Jobs pane that are pictured: what there is, the terminal, and the keys that lead there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fake_jobs import CPU_JOB, CRASHED, ENDED, FOREIGN, HEALTHY, HUNG, MANY, OURS, SPAWN, FakeJobs, begun
from fakes import World

from torchprobes.distributed import JobView

WIDE, NORMAL, SMALL = (200, 50), (80, 24), (60, 16)


@dataclass(frozen=True)
class Picture:
    """One picture; with a view there is one job of ours, which opens by itself."""

    view: JobView | None = None
    size: tuple[int, int] = NORMAL
    keys: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def filled(self) -> bool:
        """Whether the form is filled in."""
        return len(self.keys) > 1 and self.keys[0] == "L"

    def world(self) -> World:
        rows = list(self.rows or ((OURS,) if self.view is not None else ()))
        return World(report=None, jobs=FakeJobs(rows=begun(rows), view=self.view, answers=self.answers))


TAIL = {"tail": ["Traceback (most recent call last):", '  File "train.py", line 212, in loss_of',
                 "RuntimeError: CUDA error: device-side assert triggered"]}  # fmt: skip

FILL = (*"train.py", "tab", *"--lr 3e-4", "tab", "8")

PLAN = {
    "line": "torchdoctor launch --nproc-per-node=8 -- train.py --lr 3e-4",
    "argv": ["/opt/train/bin/python", "-m", "torch.distributed.run", "--nproc-per-node=8", "--nnodes=1",
             "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--rdzv-id", "td-abcdef", "--log-dir=RUN/logs",
             "--redirects=3", "--no-python", "/opt/train/bin/python", "-u", "train.py", "--lr", "3e-4"],
    "env": {"TORCHDOCTOR_NODE": "RUN/nodes/gpu-node-07", "TORCH_FR_BUFFER_SIZE": "2000"},
    "injected": ["faulthandler on a private real-time signal", "a heartbeat thread, twice a second"],
    "notes": ["--standalone is spelled out: it would choose a rendezvous id of its own"],
}  # fmt: skip

FOUND = [
    {"id": "TD-JOB-004", "severity": "critical", "seen": "port 29500 is held by pid 4711 (python, jonas) since 3 h",
     "why": "torchrun waits for its rendezvous for minutes and says nothing.",
     "fix": {"command": "torchdoctor launch --rdzv-endpoint=127.0.0.1:0 …", "scope": "process", "needs": []},
     "source": "measured: 880 s of silence"},
    {"id": "TD-JOB-007", "severity": "warning", "seen": "/dev/shm has 64 MiB, 8 ranks want 1 GiB", "why": "NCCL and "
     "DataLoader workers hand data over through it.", "source": "pytorch/torchtitan 853"},
]  # fmt: skip

_AT = 1_790_000_000 * 10**9

LOG = {
    "first": 0, "total": 6, "skipped": False, "new": False, "cause": "",
    "lines": [
        [_AT + 12_000_000, 0, 0, "out", "step 1840 loss 2.113", "printed"],
        [_AT + 14_000_000, 5, 0, "out", "step 1840 loss 2.109", "printed"],
        [_AT + 200_000_000, 5, 0, "err", "[rank5]: Traceback (most recent call last):", "±0.1 s"],
        [_AT + 200_000_000, 5, 0, "err", '[rank5]:   File "train.py", line 212, in loss_of', "±0.1 s"],
        [_AT + 200_000_000, 5, 0, "err", "[rank5]: RuntimeError: CUDA error: device-side assert triggered", "±0.1 s"],
        [0, 3, 0, "out", "progress without a newline, and nobody knows when", "unknown"],
    ],
}  # fmt: skip

PICTURES = {
    "none": Picture(),
    "none-60x16": Picture(size=SMALL),
    "list": Picture(rows=(OURS, FOREIGN, SPAWN, ENDED), keys=("escape",)),
    "list-200x50": Picture(rows=(OURS, FOREIGN, SPAWN, ENDED), size=WIDE, keys=("escape",)),
    "healthy": Picture(HEALTHY),
    "healthy-200x50": Picture(HEALTHY, WIDE),
    "cpu": Picture(CPU_JOB),
    "ranks-64": Picture(MANY, keys=("s",)),
    "ranks-64-200x50": Picture(MANY, WIDE, ("s",)),
    "crash": Picture(
        CRASHED,
    ),
    "crash-60x16": Picture(CRASHED, SMALL, ("s",)),
    "crash-200x50": Picture(CRASHED, WIDE, ("e",)),
    "crash-rank": Picture(CRASHED, keys=("enter",), answers=TAIL),
    "crash-evidence": Picture(CRASHED, keys=("v",)),
    "hang": Picture(HUNG, keys=("s",)),
    "hang-stacks": Picture(HUNG, keys=("t",)),
    "hang-evidence": Picture(HUNG, (120, 30), ("v",)),
    "sources": Picture(HUNG, keys=("u",)),
    "logs": Picture(CRASHED, keys=("l",), answers={"log": LOG}),
    "stop": Picture(HEALTHY, keys=("c",)),
    "launch": Picture(keys=("L",), answers={"plan": "!name a script, or -m and a module"}),
    "launch-filled": Picture(keys=("L", *FILL), answers={"plan": PLAN, "preflight": FOUND}),
    "launch-filled-120x40": Picture(size=(120, 40), keys=("L", *FILL), answers={"plan": PLAN, "preflight": []}),
    "launch-60x16": Picture(size=SMALL, keys=("L", *FILL), answers={"plan": PLAN, "preflight": FOUND}),
    "launch-error": Picture(keys=("L", *"-m"), answers={"plan": "!-m needs the name of a module"}),
}
