"""What two looks at a process say of its compiling: one line, sure or not, and all that it rests on. Pure."""

from __future__ import annotations

from typing import Final, Literal

from ...model import Frozen
from .family import WORKERS, Helpers
from .phases import WAITING, Where
from .surroundings import Cache, Quota

State = Literal["compiling", "not compiling", "not sure"]

NO_TORCH: Final = "torch is not loaded in it"


class Seen(Frozen, frozen=True, kw_only=True):
    """What was seen of a process. `where` is None where its stack could not be read, and `why` says why."""

    where: Where | None = None
    why: str = ""
    torch: bool | None = None
    helpers: tuple[Helpers, ...] = ()
    for_torch: int = 0
    cpu_percent: float | None = None
    caches: tuple[Cache, ...] = ()
    threads: int | None = None
    quota: Quota = Quota()
    throttled: int | None = None
    omp_threads: str | None = None
    compile_threads: str | None = None
    seconds: float = 0.0


class Compiling(Frozen, frozen=True, kw_only=True):
    """Whether process `pid` compiles. `phase`, `site` (the user's line) and `how` are "" where they are not known.

    `degraded` says what could not be seen, `command` what would show it. `waiting_for` counts the compilers at work
    while the process waits for kernels; None in any other phase. `throttled` counts periods within the look in which
    the quota of CPU ran out.
    """

    pid: int
    state: State
    line: str
    phase: str = ""
    site: str = ""
    file: str = ""
    file_line: int | None = None
    how: str = ""
    degraded: str = ""
    command: str = ""
    torch: bool | None = None
    waiting_for: int | None = None
    helpers: tuple[Helpers, ...] = ()
    cpu_percent: float | None = None
    caches: tuple[Cache, ...] = ()
    threads: int | None = None
    cores: float | None = None
    throttled: int | None = None
    omp_threads: str | None = None
    compile_threads: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


def judged(pid: int, seen: Seen) -> Compiling:
    """The verdict."""
    state, why = _state(seen)
    where = seen.where or Where()
    site = where.words
    waits = where.phase == WAITING
    told = _line(state, why, where, seen)
    return Compiling(
        pid=pid,
        state=state,
        line=told,
        phase=where.phase,
        site=site,
        file=where.user.file if where.user else "",
        file_line=where.user.line if where.user else None,
        how="py-spy" if seen.where is not None else "",
        degraded="" if seen.where is not None else f"its Python stack was not read: {seen.why}",
        command="" if seen.where is not None else _remedy(pid, seen.why),
        torch=seen.torch,
        waiting_for=sum(row.count for row in seen.helpers if row.kind != WORKERS) if waits else None,
        helpers=seen.helpers,
        cpu_percent=seen.cpu_percent,
        caches=seen.caches,
        threads=seen.threads,
        cores=seen.quota.cores,
        throttled=seen.throttled,
        omp_threads=seen.omp_threads,
        compile_threads=seen.compile_threads,
        notes=tuple(_notes(seen)),
        seconds=seen.seconds,
    )


def _state(seen: Seen) -> tuple[State, str]:
    """What it is doing, and by which evidence where that is not the stack's."""
    compilers = [row for row in seen.helpers if row.kind != WORKERS]
    if seen.where is not None and seen.where.phase:
        return "compiling", ""
    if seen.where is not None:
        if compilers:
            return "not sure", "no thread of it is inside the compiler, yet compilers run below it"
        return "not compiling", ""
    if seen.for_torch:
        return "compiling", "compilers below it work on files of torch.compile's cache"
    if any(row.busy for row in seen.helpers if row.kind == WORKERS):
        return "compiling", "its compile workers are busy"
    if compilers:
        return "not sure", "compilers run below it, and which files they compile is not seen"
    if any(cache.new_files for cache in seen.caches):
        return "not sure", "its caches grow, which other processes of that user could do too"
    if seen.torch is False:
        return "not compiling", NO_TORCH
    return (
        "not sure",
        "no compiler and no busy worker is below it, and its caches do not grow; tracing would not show so",
    )


def _line(state: State, why: str, where: Where, seen: Seen) -> str:
    at = f" of {where.words}" if where.words else ""
    helpers = ", ".join(helper_words(row) for row in seen.helpers if row.count)
    if state == "compiling":
        head = f"{where.phase}{at}" if where.phase else why
        return f"compiling: {head}" + (f"; {helpers}" if helpers else "")
    tail = f": {why}" if why else (f": its main thread is at {where.words}" if where.words else "")
    return f"{state}{tail}" + (f"; {helpers}" if helpers and state == "not sure" else "")


def helper_words(row: Helpers) -> str:
    """Helpers as a person reads them: `3 g++ at 280 % CPU`."""
    if row.kind == WORKERS:
        idle = "idle" if not row.busy else f"{row.busy} busy at {row.cpu_percent:.0f} % CPU"
        return f"{row.count} compile worker{'s' * (row.count != 1)}, {idle}"
    return f"{row.count} {row.kind} at {row.cpu_percent:.0f} % CPU"


def _remedy(pid: int, why: str) -> str:
    if "not installed" in why:
        return "pip install py-spy    # beside torchdoctor, not into the program's environment"
    if "ptrace" in why:
        return f"sudo torchdoctor diagnose {pid}    # or, in a container, --cap-add SYS_PTRACE"
    return f"torchdoctor diagnose {pid}    # again"


def _notes(seen: Seen) -> list[str]:
    """What of its surroundings slows compiling down."""
    notes = []
    cores, busy = seen.quota.cores, sum(row.count for row in seen.helpers if row.kind != WORKERS)
    if cores is not None and busy > cores:
        notes.append(
            f"{busy} compilers share {cores:g} cores of its cgroup's quota: TORCHINDUCTOR_COMPILE_THREADS limits them"
        )
    if seen.throttled:
        notes.append(f"its cgroup's quota of {cores or 0:g} cores ran out in {seen.throttled} periods of this look")
    return notes
