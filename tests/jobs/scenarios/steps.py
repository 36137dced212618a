"""What all scenarios share: a small job of gloo ranks that train, and the mark that a rank leaves before its fault.

Standard library and torch; it runs inside ranks. The environment says the rest: SCENARIO_MARK is the mark's path,
SCENARIO_RANK and SCENARIO_STEP say where the fault comes, SCENARIO_STEPS how many steps there are, SCENARIO_DEAF=1 that
every rank ignores SIGTERM, SCENARIO_PAUSE_S how long a healthy job pauses.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
FAULTY = int(os.environ.get("SCENARIO_RANK", "2"))
FAULT_STEP = int(os.environ.get("SCENARIO_STEP", "30"))
STEPS = int(os.environ.get("SCENARIO_STEPS", "2000"))
PAUSE_S = float(os.environ.get("SCENARIO_PAUSE_S", "20"))
STEP_S = 0.02
GROUP_TIMEOUT_S = 600

Hook = Callable[["Job", int], None]


def mark(**more: object) -> None:
    """Say that the fault comes now: the time is the last thing that this rank does in order."""
    path = os.environ["SCENARIO_MARK"]
    told = {"rank": RANK, "pid": os.getpid(), **more, "t_ns": time.time_ns()}
    with open(f"{path}.{RANK}", "w") as file:
        file.write(json.dumps(told))
    os.rename(f"{path}.{RANK}", path)


def due(step: int) -> bool:
    """Whether the fault comes in this step, on this rank."""
    return RANK == FAULTY and step == FAULT_STEP


def deaf() -> None:
    """Ignore SIGTERM where the scenario says so."""
    if os.environ.get("SCENARIO_DEAF") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Job:
    """A process group and a model that trains in it; gradients are averaged by hand, one all_reduce a parameter."""

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        torch.set_num_threads(1)
        self.torch, self.dist = torch, dist
        dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=GROUP_TIMEOUT_S))
        self.model = torch.nn.Linear(64, 8)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)

    def step(self, data: Any = None) -> None:
        """One step of training."""
        data = self.torch.randn(16, 64) if data is None else data
        self.optimizer.zero_grad()
        self.model(data).square().mean().backward()
        for parameter in self.model.parameters():
            self.dist.all_reduce(parameter.grad)
        self.optimizer.step()
        time.sleep(STEP_S)

    def train(self, before: Hook | None = None, steps: int = STEPS) -> None:
        """So many steps, each after `before`; then the group is left in order."""
        for step in range(steps):
            if before is not None:
                before(self, step)
            self.step()
        self.dist.barrier()
        self.dist.destroy_process_group()
