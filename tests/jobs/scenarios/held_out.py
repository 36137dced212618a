"""Four faults on which nothing was tuned: `held_out.py NAME` in every rank. Do not look at them when you judge."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable

import steps
from steps import Job, due, mark

NAP_S = 10**6


def sigstop(_: Job, step: int) -> None:
    if due(step):
        mark()
        os.kill(os.getpid(), signal.SIGSTOP)


def fifo(_: Job, step: int) -> None:
    """Open a pipe by its name that nobody writes to."""
    if due(step):
        path = os.path.join(tempfile.mkdtemp(), "queue")
        os.mkfifo(path)
        mark()
        with open(path) as queue:
            queue.read()


def gil_held(_: Job, step: int) -> None:
    """A call into C that does not let go of Python's lock: no thread of Python moves any more."""
    if due(step):
        mark()
        ctypes.PyDLL(None).sleep(NAP_S)


class _Loader:
    """A DataLoader whose worker stops giving."""

    def __init__(self) -> None:
        self.batches = None

    def __call__(self, job: Job, step: int) -> None:
        if steps.RANK != steps.FAULTY:
            return
        if self.batches is None:
            loader = job.torch.utils.data.DataLoader(_Items(job.torch), batch_size=16, num_workers=1, prefetch_factor=2)
            self.batches = iter(loader)
        next(self.batches)


class _Items:
    """Rows that end in a sleep where the fault is due."""

    def __init__(self, torch: object) -> None:
        self.torch = torch

    def __len__(self) -> int:
        return 16 * steps.STEPS

    def __getitem__(self, at: int) -> object:
        if at == 16 * steps.FAULT_STEP:
            mark()
            time.sleep(NAP_S)
        return self.torch.zeros(64)  # type: ignore[attr-defined]


HOOKS: dict[str, Callable[[Job, int], None]] = {
    "sigstop": sigstop, "fifo": fifo, "gil-held": gil_held, "loader-stuck": _Loader(),
}  # fmt: skip


def main() -> None:
    """One rank."""
    steps.deaf()
    Job().train(HOOKS[sys.argv[1]])


if __name__ == "__main__":
    main()
