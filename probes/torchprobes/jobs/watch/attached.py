"""Starts a watcher beside a job that torchdoctor did not launch; it ends with whoever started it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from ... import rundir
from ...distributed import JobIdentity
from ...rundir import Owner, RunDir, RunError
from ..node import NodeFolder, node_folder
from ..signs import signal_name
from .order import Order

WATCHER: Final = Path(__file__).parent / "watcher.py"
ERRORS: Final = "watcher.err"
"""The file in the node's folder that has a watcher's stderr."""

END_S: Final = 3.0
"""How long a watcher whose lifeline was closed may take to write its last view."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A watcher of ours and the run directory that it writes into."""

    run: RunDir
    process: subprocess.Popen[bytes]

    @property
    def node(self) -> NodeFolder:
        """The folder of this node in the run."""
        return node_folder(self.run)

    def alive(self) -> bool:
        """Whether the watcher still watches."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Why a watcher ended: the last line that it wrote, else its exit code or signal; "" while it lives."""
        code = self.process.poll()
        if code is None:
            return ""
        said = _last_line(self.node.path / ERRORS)
        return said or (f"exit code {code}" if code >= 0 else signal_name(-code) or f"signal {-code}")

    def close(self, wait_s: float = END_S) -> None:
        """Let the watcher end; one that does not end in time is killed. The job notices nothing of either."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.process.kill()


def attach(place: Path, job: JobIdentity) -> Attached:
    """Watch `job` from here, read-only, in a run directory of its own below `place`.

    Raises:
        RunError: if the run directory cannot be written, or no process can be made.
    """
    run = rundir.create(place, "job", argv=(job.command,) if job.command else ())
    try:
        node = node_folder(run)
        node.path.mkdir(parents=True, mode=0o700)
        order = Order(run=str(run.path), node=str(node.path), mode="adopted", job=job)
        process = start(order)
    except OSError as error:
        raise RunError(f"cannot start a watcher: {error.strerror or error}") from None
    _owned_by(run, process.pid)
    return Attached(run, process)


def start(order: Order) -> subprocess.Popen[bytes]:
    """Start a watcher and give it its order; its stdin stays open as its lifeline.

    Raises:
        OSError: if no process can be made.
    """
    with open(os.path.join(order.node, ERRORS), "ab") as err:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(WATCHER)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=err,
            cwd="/", start_new_session=True,
        )  # fmt: skip
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # it died at once: whoever looks at it will see
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
    return process


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read(4096).decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _owned_by(run: RunDir, pid: int) -> None:
    """The run is the watcher's: it lives as long as that does."""
    start_ticks = rundir.start_ticks(pid)
    if start_ticks is not None:
        owner = Owner(pid=pid, start_ticks=start_ticks, boot_id=rundir.boot_id())
        run.change(owner=owner)
