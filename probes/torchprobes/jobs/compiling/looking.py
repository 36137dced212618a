"""Two looks at a process, half a second apart: stack, children, caches, quota. In a process that can be lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...rank_evidence import Stack
from ..stacks.pyspy import NoStack, by_pyspy
from . import family, surroundings
from .phases import Where, where
from .verdict import Compiling, Seen, judged

BETWEEN_S: Final = 0.5
STACK_S: Final = 2.0
PAUSE_S: Final = 0.04
LOOKS: Final = 4
"""Stacks that are read: a process that runs on may change under its reader, and then gives none, or half of one."""


TORN: Final = "py-spy: the frames of its main thread changed under their reader"


class Gone(Exception):
    """There is no such process."""


def look(
    pid: int,
    between_s: float = BETWEEN_S,
    stack_of: Callable[[int, float], Stack] = by_pyspy,
    proc: Path = Path("/proc"),
) -> Compiling:
    """What process `pid` compiles.

    Raises:
        Gone: it has ended, or never was.
    """
    began = time.monotonic()
    before = family.read(pid, began, proc)
    if before is None:
        raise Gone(f"there is no process {pid}")
    env = surroundings.environ(pid, proc)
    caches = [surroundings.measured(cache) for cache in surroundings.cache_places(pid, env, proc)]
    quota = surroundings.quota(pid)
    found, why = _stack(pid, stack_of)
    time.sleep(max(0.0, began + between_s - time.monotonic()))
    after = family.read(pid, time.monotonic(), proc)
    if after is None:
        raise Gone(f"process {pid} has ended meanwhile")
    known = env or {}
    later = surroundings.quota(pid)
    seen = Seen(
        where=found,
        why=why,
        torch=surroundings.has_torch(pid, proc),
        helpers=family.helpers(before, after),
        for_torch=sum(family.for_torch(m) and bool(family.kind_of(m)) for m in (*before.members, *after.members)),
        cpu_percent=family.cpu_percent(before, after),
        caches=tuple(surroundings.grown(was, surroundings.measured(_fresh(was))) for was in caches),
        threads=surroundings.threads(pid, proc),
        quota=later,
        throttled=_since(quota, later),
        omp_threads=known.get("OMP_NUM_THREADS"),
        compile_threads=known.get("TORCHINDUCTOR_COMPILE_THREADS"),
        seconds=round(time.monotonic() - began, 3),
    )
    return judged(pid, seen)


def _stack(pid: int, stack_of: Callable[[int, float], Stack]) -> tuple[Where | None, str]:
    """Where it stands; of several readings the first that is inside the compiler."""
    found: Where | None = None
    why = ""
    for _ in range(LOOKS):
        try:
            now = where(stack_of(pid, STACK_S))
        except NoStack as error:
            why = str(error)
        else:
            why = TORN
            if now.phase or now.frames:
                found = now
            if now.phase:
                break
        time.sleep(PAUSE_S)
    return found, "" if found is not None else why


def _fresh(cache: surroundings.Cache) -> surroundings.Cache:
    return surroundings.Cache(kind=cache.kind, path=cache.path, why="" if cache.files is not None else cache.why)


def _since(before: surroundings.Quota, after: surroundings.Quota) -> int | None:
    if before.throttled is None or after.throttled is None:
        return None
    return max(0, after.throttled - before.throttled)
