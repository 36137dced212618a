"""The twelve faults of the reference, each in a job that trains: `scenario.py NAME` in every rank."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import steps
from steps import Job, due, mark

NAP_S = 10**6
MORE_BYTES = 96 << 20
"""What a rank that is to be killed for memory may still take, in a control group of its own."""


def returned_early(_: Job, step: int) -> None:
    if due(step):
        mark()
        raise _Enough


class _Enough(Exception):
    """Leave the loop as a script does that has no more data: it ends with 0."""


def raised(_: Job, step: int) -> None:
    if due(step):
        mark()
        raise ValueError(f"bad batch on rank {steps.RANK}")


def exit3(_: Job, step: int) -> None:
    if due(step):
        mark()
        sys.exit(3)


def os_exit3(_: Job, step: int) -> None:
    if due(step):
        mark()
        os._exit(3)


def sigkill(_: Job, step: int) -> None:
    if due(step):
        mark()
        os.kill(os.getpid(), signal.SIGKILL)


def segfault(_: Job, step: int) -> None:
    if due(step):
        mark()
        ctypes.string_at(0)


def abort(_: Job, step: int) -> None:
    if due(step):
        mark()
        os.abort()


def hang(_: Job, step: int) -> None:
    """In the place of its all_reduce it sleeps."""
    if due(step):
        mark()
        time.sleep(NAP_S)


def wrong_order(job: Job, step: int) -> None:
    if due(step):
        mark()
        job.dist.broadcast(job.torch.zeros(8, 64), src=steps.RANK)


def wrong_shape(job: Job, step: int) -> None:
    """One more all_reduce, in which one rank's tensor is half as long."""
    if step == steps.FAULT_STEP:
        faulty = steps.RANK == steps.FAULTY
        tensor = job.torch.ones(512 if faulty else 1024)
        if faulty:
            mark()
        job.dist.all_reduce(tensor)


def oom(_: Job, step: int) -> None:
    """Take memory in a control group that has little, until the kernel kills this process."""
    if step == 0 and steps.RANK == steps.FAULTY:
        _enter_small_group()
    if due(step):
        mark()
        taken = [b"x" * (16 << 20) for _ in range(64)]
        raise AssertionError(f"{len(taken) * 16} MiB were given in spite of the limit")


def _enter_small_group() -> None:
    """Move this process into a group of its own, of version 1 or 2; the harness takes the group away again."""
    name = os.environ["SCENARIO_GROUP"]
    one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root, limit = (one, "memory.limit_in_bytes") if one.is_dir() else (two, "memory.max")
    group = root / name
    group.mkdir()
    (group / limit).write_text(str(MORE_BYTES))
    if limit == "memory.max":
        (group / "memory.swap.max").write_text("0")
    (group / "cgroup.procs").write_text(str(os.getpid()))


HOOKS: dict[str, Callable[[Job, int], None]] = {
    "raised": raised, "exit3": exit3, "os-exit3": os_exit3, "returned-early": returned_early, "sigkill": sigkill,
    "segfault": segfault, "abort": abort, "hang": hang, "wrong-order": wrong_order, "wrong-shape": wrong_shape,
    "oom": oom,
}  # fmt: skip


def main() -> None:
    """One rank."""
    name = sys.argv[1]
    steps.deaf()
    if name == "hang-before-init" and steps.RANK == steps.FAULTY:
        import torch  # noqa: F401 - as a script does before it hangs

        mark()
        time.sleep(NAP_S)
    job = Job()
    try:
        job.train(HOOKS.get(name))
    except _Enough:
        return


if __name__ == "__main__":
    main()
