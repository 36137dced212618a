"""What works below a process: compile workers and compilers, and how busy they are between two looks at /proc.

Nothing is asked of any process. Only stat and, for those that may be compilers, the command line are read.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from ...model import Frozen

COMPILERS: Final = {
    "cc1plus": "g++", "cc1": "gcc", "g++": "g++", "c++": "g++", "clang++": "clang", "clang": "clang", "icpx": "icpx",
    "as": "as", "ld": "ld", "lld": "ld", "ld.lld": "ld", "mold": "ld", "collect2": "ld", "ptxas": "ptxas",
    "nvcc": "nvcc", "cicc": "nvcc", "cudafe++": "nvcc", "fatbinary": "nvcc", "nvlink": "nvcc", "hipcc": "hipcc",
}  # fmt: skip
"""Programs by what a person calls them; a driver (g++) and what it starts (cc1plus, as) are one."""

_DRIVERS: Final = frozenset({"g++", "c++", "gcc", "cc", "collect2", "nvcc", "clang++", "clang"})
"""Of these a compilation has one that only waits: what they start is counted, they are where nothing else is."""

WORKERS: Final = "compile workers"
BUSY_PERCENT: Final = 20.0
MOST: Final = 4096
_TICK: Final = os.sysconf("SC_CLK_TCK")


class Helpers(Frozen, frozen=True, kw_only=True):
    """Programs of one kind below a process: how many, how many of them busy, and their share of a core in percent."""

    kind: str
    count: int
    busy: int
    cpu_percent: float


class Member(Frozen, frozen=True, kw_only=True):
    """One process of a tree at one look. `command` is read only of what may be a compiler or a worker."""

    pid: int
    parent: int
    start: int
    name: str
    cpu_s: float
    command: str = ""


class Tree(Frozen, frozen=True, kw_only=True):
    """A process and what descends from it at one instant; `members` begins with itself."""

    m_s: float
    members: tuple[Member, ...]


def read(pid: int, now_s: float, proc: Path = Path("/proc")) -> Tree | None:
    """The tree of a process now; None if it is gone."""
    found = {member.pid: member for each in _pids(proc) if (member := _member(proc, each)) is not None}
    if pid not in found:
        return None
    below: dict[int, list[Member]] = {}
    for member in found.values():
        below.setdefault(member.parent, []).append(member)
    tree: list[Member] = []
    pending = [found[pid]]
    while pending and len(tree) < MOST:
        member = pending.pop(0)
        tree.append(member)
        pending += below.get(member.pid, [])
    return Tree(m_s=now_s, members=tuple(tree))


def helpers(before: Tree, after: Tree) -> tuple[Helpers, ...]:
    """Compilers and workers below the process, those that were seen at either look; busiest first.

    Compilers live shorter than two looks are apart: one that came since counts with all the CPU time that it has had.
    """
    span = max(after.m_s - before.m_s, 1e-3)
    was = {(member.pid, member.start): member for member in before.members}
    rows: dict[str, list[float]] = {}
    for member in _without_drivers(after.members[1:]):
        kind = kind_of(member)
        if kind:
            earlier = was.get((member.pid, member.start))
            rows.setdefault(kind, []).append(100 * (member.cpu_s - (earlier.cpu_s if earlier else 0.0)) / span)
    left = {kind_of(m) for m in _without_drivers(before.members[1:])} - {"", *rows}
    told = [
        Helpers(kind=kind, count=len(each), busy=sum(p >= BUSY_PERCENT for p in each), cpu_percent=round(sum(each), 1))
        for kind, each in rows.items()
    ]
    told += [Helpers(kind=kind, count=0, busy=0, cpu_percent=0.0) for kind in left if kind != WORKERS]
    return tuple(sorted(told, key=lambda row: -row.cpu_percent))


def cpu_percent(before: Tree, after: Tree) -> float:
    """The share of a core that the process itself took between two looks."""
    own, was = after.members[0], before.members[0]
    return round(100 * (own.cpu_s - was.cpu_s) / max(after.m_s - before.m_s, 1e-3), 1)


def kind_of(member: Member) -> str:
    """What a process below the program is to a compile: a compiler's name, WORKERS, or "" for neither."""
    if member.name in COMPILERS:
        return COMPILERS[member.name]
    return WORKERS if "compile_worker" in member.command else ""


def for_torch(member: Member) -> bool:
    """Whether a compiler works for torch.compile, by the files it was told to compile."""
    return any(word in member.command for word in ("torchinductor", "/inductor/", "/triton/", "inductor_cache"))


def _without_drivers(members: tuple[Member, ...]) -> list[Member]:
    parents = {member.parent for member in members}
    return [member for member in members if not (member.name in _DRIVERS and member.pid in parents)]


def _pids(proc: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return []


def _member(proc: Path, pid: int) -> Member | None:
    try:
        head, _, tail = (proc / str(pid) / "stat").read_bytes().rpartition(b")")
        fields = tail.split()
        name = head.partition(b"(")[2].decode("utf-8", "replace")
        cpu_s = (int(fields[11]) + int(fields[12])) / _TICK
        command = _command(proc, pid) if name in COMPILERS or name.startswith(("python", "pt_")) else ""
        return Member(
            pid=pid, parent=int(fields[1]), start=int(fields[19]), name=name, cpu_s=cpu_s, command=command
        ) if fields[0] not in (b"Z", b"X") else None  # fmt: skip
    except (OSError, IndexError, ValueError):
        return None


def _command(proc: Path, pid: int) -> str:
    with contextlib.suppress(OSError), (proc / str(pid) / "cmdline").open("rb") as file:
        return file.read(8192).replace(b"\0", b" ").decode("utf-8", "replace")
    return ""
