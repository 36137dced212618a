"""Which GPUs somebody else was given by a batch system: as reasons, by the index and UUID of the GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchprobes import child

from .visible import Seat

DEADLINE_S = 3.0


class Allocations:
    """What the batch systems of this node have given to others, read once."""

    def __init__(self, found: Mapping[str, Any] | None = None, unread: str = "") -> None:
        """`found` is the answer of `environment/allocations.py`; `unread` why there is none."""
        found = found or {}
        self._jobs: Mapping[str, Mapping[str, Any]] = found.get("jobs", {})
        self._pods: Mapping[str, list[str]] = found.get("pods", {})
        self._own: list[int] = found.get("own", [])
        self._unread = unread

    def why_taken(self, seat: Seat) -> str:
        """Who holds this seat, "" if nobody else: what our own job was given is ours, whoever else is here."""
        if seat.gpu.index in self._own:
            return ""
        if self._unread:
            return f"{seat.words}: allocations of batch systems cannot be read ({self._unread}), so it is not idle"
        for pod, uuids in self._pods.items():
            if {seat.uuid, seat.gpu.uuid} & set(uuids):
                return f"{seat.words} is allocated to pod {pod}"
        for job, told in self._jobs.items():
            if told["gpus"] is None:
                return (
                    f"{seat.words}: slurm job {job} ({told['user']}) runs here, and which GPUs it holds only its owner "
                    "and root can read, so it does not count as idle"
                )
            if seat.gpu.index in told["gpus"]:
                return f"{seat.words} is allocated to slurm job {job} ({told['user']})"
        return ""


def read(deadline_s: float = DEADLINE_S) -> Allocations:
    """Ask a child, because the environment of a process that is stuck in the kernel gives no answer."""
    try:
        return Allocations(child.ask("allocations", {}, deadline_s))
    except child.Hung:
        return Allocations(unread=f"no answer in {deadline_s:g} s")
    except child.ChildFailed as error:
        return Allocations(unread=str(error))
