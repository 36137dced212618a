"""From claims to jobs, as the documents that `JobIdentity` is made from. Standard library only.

Ranks are one job by their key and their user. Two processes that claim one rank of one attempt are two jobs of the
same name (a run id that two people chose, an address in two network namespaces): those are told apart by launcher.
"""

from __future__ import annotations

import os
import re
import socket
import time

from ...masking import mask_text
from . import logs, programs, reading
from .claims import Claim, by_environment
from .ordered import by_order
from .reading import Seen
from .scan import Census

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    Group = tuple[str, list[Claim]]

MOST_COMMAND: Final = 400
OF_A_RUN: Final = re.compile(r"^(/.{1,900}?/\d{8}T\d{6}Z-[\w.-]{1,64}-[0-9a-f]{6})/")
"""The path of something inside one of our run directories."""

LAUNCHERS: Final = frozenset({"torchrun", "srun", "mpirun", "spawn", "ray", "deepspeed", "lightning"})
_NS_A_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def jobs(census: Census) -> list[dict[str, Any]]:
    """All distributed jobs of this node, by key."""
    groups: dict[tuple[str, int], list[Claim]] = {}
    for claim in by_order(census, by_environment(census)):
        groups.setdefault((claim.key, reading.owner(census.proc, claim.seen.pid)), []).append(claim)
    parts = [(key, part) for (key, _), group in groups.items() for part in _split(group)]
    return [_job(census, name, _newest(group)) for name, group in sorted(_named(parts), key=lambda one: one[0])]


def alone(census: Census, pid: int) -> dict[str, Any] | None:
    """The process `pid` as a job of its own, for somebody who names it: no place in a job can be seen for it.

    Two Python processes below it or more are its ranks, in the order of their birth; else it is rank 0 itself. None if
    there is no such process, or none of Python.
    """
    seen = census.processes.get(pid)
    if seen is None or seen.ended or seen.kernel or not programs.is_python(seen):
        return None
    below = [child for child in census.children(seen) if not child.ended and programs.is_python(child)]
    group = [Claim(one, rank, ("order",), "pid") for rank, one in enumerate(below if len(below) > 1 else [seen])]
    group[0].launcher = seen if len(below) > 1 else None
    why = "is not readable" if seen.denied else "is not in its environment"
    group[0].notes = [f"the place in a job {why}: ranks of pid {pid} are numbered by birth"]
    return _job(census, f"pid:{pid}", group)


def _split(group: list[Claim]) -> list[list[Claim]]:
    """The jobs of one name and user: several where a rank of one attempt is claimed twice."""
    places = [(claim.attempt, claim.rank) for claim in group]
    if len(set(places)) == len(places):
        return [group]
    parts: dict[int, list[Claim]] = {}
    for claim in group:
        parts.setdefault(_starter(claim), []).append(claim)
    return list(parts.values())


def _starter(claim: Claim) -> int:
    return claim.launcher.pid if claim.launcher else claim.seen.parent


def _named(parts: list[Group]) -> list[Group]:
    """Each with a name of its own: the eldest of a name keeps it, others have the pid of who started them behind it."""
    taken: set[str] = set()
    named: list[Group] = []
    for key, part in sorted(parts, key=lambda one: min(claim.seen.start for claim in one[1])):
        pid = _starter(part[0]) if _starter(part[0]) > 1 else part[0].seen.pid
        named.append((f"{key}@{pid}" if key in taken else key, part))
        taken.add(key)
    return named


def _newest(group: list[Claim]) -> list[Claim]:
    """One claim a rank, of the newest attempt."""
    newest = max(claim.attempt for claim in group)
    ranks: dict[int, Claim] = {}
    for claim in sorted(group, key=lambda one: (one.seen.start, one.seen.pid)):
        if claim.attempt == newest:
            ranks[claim.rank] = claim
    return [ranks[rank] for rank in sorted(ranks)]


def _job(census: Census, name: str, group: list[Claim]) -> dict[str, Any]:
    first = group[0]
    launcher = next((claim.launcher for claim in group if claim.launcher is not None), None)
    starter = launcher or first.seen
    environ = next((claim.told.environ for claim in group if claim.told), {})
    ranks = [_rank(census, claim) for claim in group]
    run = next((run for claim, rank in zip(group, ranks, strict=True) if (run := _run(claim, rank))), "")
    kind = first.kind if first.kind in LAUNCHERS else "unknown"
    master = f"{environ['MASTER_ADDR']}:{environ.get('MASTER_PORT', '')}" if environ.get("MASTER_ADDR") else ""
    return {
        "key": name,
        "launcher": "torchdoctor" if run else kind,
        "host": socket.gethostname(),
        "ranks": ranks,
        "world_size": next((claim.world for claim in group if claim.world is not None), None),
        "launcher_pid": launcher.pid if launcher else None,
        "launcher_start_ticks": launcher.start if launcher else None,
        "user": ranks[0]["user"],
        "command": _command(_first(census, starter).words, starter.name),
        "started_ns": _wall_ns(starter.start if launcher else min(claim.seen.start for claim in group)),
        "run": run,
        "slurm_job": environ.get("SLURM_JOB_ID", "") or (name[6:].partition(".")[0] if name[:6] == "slurm:" else ""),
        "master": master,
        "notes": list(dict.fromkeys(note for claim in group for note in claim.notes)),
    }


def _first(census: Census, starter: Seen) -> Seen:
    """What a person typed: mpiexec, whose proxy started the ranks; the runner of DeepSpeed before its launcher."""
    kind = programs.launcher(starter)
    above = [seen for seen in census.ancestors(starter) if kind and programs.launcher(seen) == kind]
    return above[-1] if above and kind != "srun" else starter


def _rank(census: Census, claim: Claim) -> dict[str, Any]:
    seen = claim.seen
    uid, inner = reading.status(census.proc, seen.pid)
    return {
        "rank": claim.rank,
        "pid": seen.pid,
        "start_ticks": seen.start,
        "host": socket.gethostname(),
        "local_rank": claim.local,
        "attempt": claim.attempt,
        "visible_devices": None if seen.environ is None or seen.denied else _visible(seen),
        "inner_pid": inner if inner != seen.pid else None,
        "uid": uid,
        "user": user(uid),
        "command": _command(seen.words, seen.name),
        "how": list(claim.how),
        **logs.places(census, seen),
    }


def _visible(seen: Seen) -> str:
    return seen.told.get("CUDA_VISIBLE_DEVICES", "unset")


def _run(claim: Claim, rank: dict[str, Any]) -> str:
    """Our run directory, as its events or its logs name it."""
    environ = claim.told.environ if claim.told else {}
    paths = (environ.get("TORCHDOCTOR_NODE", ""), environ.get("TORCHDOCTOR_EVENTS", ""), rank["stdout"], rank["stderr"])
    found = next((match for path in paths if (match := OF_A_RUN.match(path))), None)
    return found[1] if found else ""


def _command(words: tuple[str, ...], name: str) -> str:
    return mask_text(" ".join(words))[:MOST_COMMAND].strip() or f"[{name}]"


def user(uid: int | None) -> str:
    """The name of a user, its number where it has none."""
    if uid is None:
        return ""
    import pwd  # a directory server may be asked: only in a child that may be lost

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _wall_ns(ticks: int) -> int:
    """The wall time of a start that the kernel counted in ticks since boot."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + ticks * _NS_A_TICK
