"""Twenty jobs that are slow and sound: each pauses once for SCENARIO_PAUSE_S, and ends with 0. `healthy.py NAME`."""

from __future__ import annotations

import fcntl
import gc
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

import steps
from steps import PAUSE_S, RANK, Job

AT = 30
STEPS = 60
ONE = 1
"""The rank that is slow where only one is and it is not rank 0."""


def burn(seconds: float) -> int:
    """Compute in Python for so long."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        count += sum(range(2000)) & 1
    return count


def together(pause: Callable[[], object]) -> steps.Hook:
    """All ranks pause."""
    return _at(AT, range(steps.WORLD), pause)


def alone(rank: int, pause: Callable[[], object]) -> steps.Hook:
    """One rank pauses; the others wait in the next collective."""
    return _at(AT, (rank,), pause)


def first(pause: Callable[[], object]) -> steps.Hook:
    """The first step takes long, on all ranks."""
    return _at(0, range(steps.WORLD), pause)


def _at(when: int, ranks: Collection[int], pause: Callable[[], object]) -> steps.Hook:
    def hook(_: Job, step: int) -> None:
        if step == when and RANK in ranks:
            pause()

    return hook


def in_children() -> None:
    """As Inductor compiles: the rank waits for processes that compute."""
    program = f"import time; e = time.monotonic() + {PAUSE_S}\nwhile time.monotonic() < e: sum(range(2000))"
    for process in [subprocess.Popen([sys.executable, "-c", program, "compile_worker"]) for _ in range(2)]:
        process.wait()


def write_file() -> None:
    """A checkpoint to a slow disk: a little, and wait for the disk, over and over."""
    end = time.monotonic() + PAUSE_S
    with tempfile.NamedTemporaryFile() as file:
        while time.monotonic() < end:
            file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())
            file.seek(0)
            time.sleep(0.2)


def read_slowly() -> None:
    """A download that trickles."""
    ours, theirs = socket.socketpair()

    def give() -> None:
        end = time.monotonic() + PAUSE_S
        while time.monotonic() < end:
            theirs.send(b"x" * 1000)
            time.sleep(0.5)
        theirs.close()

    threading.Thread(target=give, daemon=True).start()
    while ours.recv(4096):
        pass


def collect() -> None:
    """Garbage collection of many objects, again and again."""
    held = [{"n": [n]} for n in range(200_000)]
    end = time.monotonic() + PAUSE_S
    while time.monotonic() < end:
        gc.collect()
    del held


def tell_progress() -> None:
    """An evaluation that prints how far it is."""
    for done in range(int(PAUSE_S * 2)):
        print(f"evaluating {done}", flush=True)
        time.sleep(0.5)


def dump_json() -> None:
    """A profile that is written as text."""
    end = time.monotonic() + PAUSE_S
    while time.monotonic() < end:
        json.dumps([{"name": str(n), "ts": n} for n in range(20_000)])


def hash_data() -> None:
    """A checksum of a large file: C code that lets go of Python's lock."""
    data, end = os.urandom(16 << 20), time.monotonic() + PAUSE_S
    while time.monotonic() < end:
        hashlib.sha256(data).hexdigest()


def wait_for_lock() -> None:
    """One rank prepares the data, the others wait for its lock, as hubs and tokenizers do."""
    path = Path(tempfile.gettempdir()) / f"scenario-{os.environ['TORCHELASTIC_RUN_ID']}.lock"
    if RANK != ONE:
        time.sleep(1.0)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        time.sleep(PAUSE_S if RANK == ONE else 0.0)


def long_import() -> None:
    """Before there is a group: a library that computes at import."""
    if RANK == ONE:
        burn(PAUSE_S)


def sleep() -> None:
    time.sleep(PAUSE_S)


def compute() -> None:
    burn(PAUSE_S)


def uneven(_: Job, step: int) -> None:
    """One rank is late in every step."""
    if RANK == ONE:
        time.sleep(PAUSE_S / STEPS)


def rare_batches(_: Job, step: int) -> None:
    """Every tenth batch takes long on all ranks."""
    if step % 10 == 9:
        time.sleep(PAUSE_S / 6)


class _Loader:
    """A DataLoader with workers, of which one item takes long."""

    def __init__(self) -> None:
        self.batches = None

    def __call__(self, job: Job, step: int) -> None:
        if self.batches is None:
            loader = job.torch.utils.data.DataLoader(_Items(job.torch), batch_size=4, num_workers=1)
            self.batches = iter(loader)
        next(self.batches)


class _Items:
    def __init__(self, torch: object) -> None:
        self.torch = torch

    def __len__(self) -> int:
        return 4 * STEPS

    def __getitem__(self, at: int) -> object:
        if at == 4 * AT and RANK == ONE:
            burn(PAUSE_S)
        return self.torch.zeros(64)  # type: ignore[attr-defined]


HOOKS: dict[str, steps.Hook] = {
    "first-step-compiles": first(compute),
    "first-step-compiles-in-children": first(in_children),
    "one-rank-compiles": alone(ONE, compute),
    "one-rank-compiles-in-children": alone(ONE, in_children),
    "checkpoint": alone(0, write_file),
    "checkpoint-by-all": together(write_file),
    "evaluation-on-rank-0": alone(0, compute),
    "evaluation-that-prints": alone(0, tell_progress),
    "slow-storage": alone(ONE, sleep),
    "all-wait": together(sleep),
    "download": alone(0, read_slowly),
    "garbage-collection": alone(ONE, collect),
    "garbage-collection-of-all": together(collect),
    "profile-written": alone(0, dump_json),
    "checksum": alone(0, hash_data),
    "lock": together(wait_for_lock),
    "long-import": together(lambda: None),
    "uneven": uneven,
    "rare-batches": rare_batches,
    "slow-item": _Loader(),
}


def main() -> None:
    """One rank."""
    name = sys.argv[1]
    if name == "long-import":
        long_import()
    Job().train(HOOKS[name], steps=STEPS)


if __name__ == "__main__":
    main()
