"""The screens of the Jobs pane that are pictured: what there is, the terminal, and the keys that lead there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fake_jobs import CPU_JOB, CRASHED, ENDED, FOREIGN, HEALTHY, HUNG, MANY, OURS, SPAWN, FakeJobs
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

    def world(self) -> World:
        rows = list(self.rows or ((OURS,) if self.view is not None else ()))
        return World(report=None, jobs=FakeJobs(rows=rows, view=self.view, answers=self.answers))


TAIL = {"tail": ["Traceback (most recent call last):", '  File "train.py", line 212, in loss_of',
                 "RuntimeError: CUDA error: device-side assert triggered"]}  # fmt: skip

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
    "stop": Picture(HEALTHY, keys=("c",)),
}
