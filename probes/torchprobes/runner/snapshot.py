"""What a check shows of itself: immutable views that any thread may take and keep, and what it is asked."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping

import msgspec

from torchprobes.model import Frozen, Result


def default_slots() -> int:
    """How many probes overlap: half of this process's cores, at least 2, at most 6."""
    return max(2, min(6, len(os.sched_getaffinity(0)) // 2))


class ProbeState(str, enum.Enum):
    """Where a probe is."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"


class ProbeView(Frozen, frozen=True, kw_only=True):
    """One probe at one instant.

    `progress` and `done` (0 to 1) are what the payload said last; `started_s` is how many seconds ago it was
    started, for a finished one how long it took; `pids` are the living processes that its guardian recorded.
    """

    name: str
    state: ProbeState
    progress: str = ""
    done: float | None = None
    started_s: float | None = None
    result: Result | None = None
    folder: str = ""
    pids: tuple[int, ...] = ()


class CheckView(Frozen, frozen=True, kw_only=True):
    """A check at one instant. `note` is a line for the person, such as that the disk is full; "" is none."""

    revision: int
    run: str
    probes: tuple[ProbeView, ...]
    finished: bool
    interrupted: bool
    note: str = ""


class Options(Frozen, frozen=True, kw_only=True):
    """How a check runs.

    `device` is "auto" (an idle GPU, the CPU where there is none), "cpu", or any device string of torch; N of "cuda:N"
    is as torch counts in the user's environment. `limits` overrides the time limit of a probe by name, in seconds. The
    stream limits hold for stdout, stderr and the events of a probe each. `grace_s` is how long what a payload started
    may outlive it. `entry` names the user's own model (`MODULE:F` or `PATH.py:F`), found from `entry_folder` on;
    `graph` is the path of a graph that torch.compile wrote.

    `base` is the environment that probes begin with, None for this process's own, and `env` is set over it; `cores` and
    `rlimits` (setrlimit's name -> soft and hard, -1 for none) are theirs too, where they are given.
    """

    device: str = "auto"
    slots: int = msgspec.field(default_factory=default_slots)
    force: bool = False
    as_root: bool = False
    limits: Mapping[str, float] = msgspec.field(default_factory=dict)
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    base: Mapping[str, str] | None = None
    cores: tuple[int, ...] = ()
    rlimits: Mapping[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    import_limit_s: float = 300.0
    stream_bytes: int = 256 << 20
    stream_lines: int = 5_000_000
    grace_s: float = 2.0
    kill_s: float = 5.0
    compile_debug: bool = False
    entry: str = ""
    entry_folder: str = ""
    graph: str = ""
