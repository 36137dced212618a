"""Which processes are ranks: those whose environment says so, less what only inherited it. Standard library only.

Everything below a rank carries its RANK: DataLoader workers, compile workers, debuggers. Everything above it may: the
shell of a `bash -c`, `numactl`, our own shim. The rank is the outermost process with one identity that is not a
wrapper; where two programs could be it, the one whose threads are torch's.
"""

from __future__ import annotations

import re

from . import programs, reading
from .reading import Seen
from .scan import Census
from .told import Told, key, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TORCH_THREAD: Final = re.compile(r"pt_tcpstore|pt_gloo|gloo_|pt_nccl|pt_mpi|pt_ucc|pt_xccl|nccl")
"""Names of the threads that torch.distributed and its back ends start (since 2.6; before, they have the program's)."""

MOST_FAMILY: Final = 256


class Claim:
    """One process that is a rank. `rank` is its number in the job, `local` on this node; `how` says what that rests on.

    `launcher` is the process that started it, None where nobody is seen that did; `kind` its name.
    """

    __slots__ = (
        "attempt",
        "how",
        "key",
        "kind",
        "launcher",
        "local",
        "notes",
        "rank",
        "scheme",
        "seen",
        "told",
        "world",
    )

    def __init__(self, seen: Seen, rank: int, how: tuple[str, ...], scheme: str) -> None:
        self.seen, self.rank, self.how, self.scheme = seen, rank, how, scheme
        self.local: int | None = None
        self.world: int | None = None
        self.attempt = 0
        self.key = ""
        self.kind = ""
        self.launcher: Seen | None = None
        self.told: Told | None = None
        self.notes: list[str] = []


def by_environment(census: Census) -> list[Claim]:
    """The ranks whose environment can be read and names them; a task of srun that started ranks is none itself."""
    words = {pid: one for pid, seen in census.processes.items() if (one := _word(seen)) is not None}
    claims: dict[int, Claim] = {}
    for pid, one in words.items():
        top = _top(census, census.processes[pid], one, words)
        leader = None if top is None else _leader(census, top, one, words)
        if leader is not None and leader.pid not in claims:
            claims[leader.pid] = _claim(census, leader, one)
    inner = [claim for claim in claims.values() if claim.scheme == "torch"]
    above = {seen.pid for claim in inner for seen in census.ancestors(claim.seen)}
    return [claim for pid, claim in claims.items() if claim.scheme == "torch" or pid not in above]


def starts_ranks(seen: Seen) -> bool:
    """Whether it is a launcher, or a process of ours: what they inherit makes them no rank."""
    return bool(programs.launcher(seen)) or programs.is_ours(seen)


def _word(seen: Seen) -> Told | None:
    if not seen.environ or seen.ended or starts_ranks(seen) or programs.is_helper(seen):
        return None
    return told(seen)


def _top(census: Census, seen: Seen, one: Told, words: dict[int, Told]) -> Seen | None:
    """The outermost process with the identity of `seen`; None if an outer one speaks for it, or it was left behind.

    A rank that set a title has no environment any more, but what it started has: its own word stands for it.
    """
    titled = None
    for above in census.ancestors(seen):
        if programs.launcher(above):
            return titled or seen
        word = words.get(above.pid)
        if word is not None and word.identity == one.identity:
            return None
        if programs.has_title(above) and titled is None:
            titled = above
    return None if _left_behind(census, seen, one) else seen


def _left_behind(census: Census, seen: Seen, one: Told) -> bool:
    """Whether it is a worker whose rank has ended: torchrun's ranks lead their sessions, and that leader is gone."""
    return bool(one.environ.get("TORCHELASTIC_RUN_ID")) and seen.session not in census.processes


def _leader(census: Census, top: Seen, one: Told, words: dict[int, Told]) -> Seen | None:
    """The process that is the rank, from the outermost one of its identity inwards."""
    launched = _launcher(census, top) is not None
    if programs.is_wrapper(top):
        inner = _unwrapped(census, top, one, words)
        if inner is None:
            return top if launched and one.scheme != "slurm" else None
        top = inner
    if not (programs.is_python(top) or programs.has_title(top) or launched):
        return None
    return _inner_python(census, top, one, words) or top


def _unwrapped(census: Census, top: Seen, one: Told, words: dict[int, Told]) -> Seen | None:
    """What a wrapper runs: the nearest Python of its identity below it, else the nearest program that wraps nothing."""
    level, looked, other = [top], 0, None
    while level and looked < MOST_FAMILY:
        below = [child for seen in level for child in census.children(seen) if not child.ended]
        looked += len(below)
        same = [child for child in below if _same(child, one, words)]
        real = [child for child in same if not programs.is_wrapper(child)]
        python = [child for child in real if programs.is_python(child) or programs.has_title(child)]
        if python:
            return python[0]
        other = other or next(iter(real), None)
        level = [child for child in same if child not in real]
    return other


def _same(seen: Seen, one: Told, words: dict[int, Told]) -> bool:
    word = words.get(seen.pid)
    return programs.has_title(seen) if word is None else word.identity == one.identity


def _inner_python(census: Census, top: Seen, one: Told, words: dict[int, Told]) -> Seen | None:
    """A Python that another Python started in its own place: torch's threads are in it and not in the outer one."""
    inner = [
        child
        for child in census.children(top)
        if _same(child, one, words)
        and programs.is_python(child)
        and not programs.is_spawned(child)
        and child.words != top.words
    ]
    if not inner or is_torch(census, top):
        return None
    return next((child for child in inner if is_torch(census, child)), None)


def is_torch(census: Census, seen: Seen) -> bool:
    """Whether its threads show that it has a process group, or the store of one."""
    return seen.threads > 1 and any(map(TORCH_THREAD.match, reading.thread_names(census.proc, seen.pid)))


def _launcher(census: Census, seen: Seen) -> Seen | None:
    """The nearest process above it that starts ranks."""
    return next((above for above in census.ancestors(seen) if programs.launcher(above)), None)


def _claim(census: Census, seen: Seen, one: Told) -> Claim:
    claim = Claim(seen, one.rank, ("environ",), one.scheme)
    claim.told, claim.world, claim.local, claim.attempt = one, one.world, one.local, one.attempt
    claim.launcher = _launcher(census, seen)
    claim.kind = programs.launcher(claim.launcher) if claim.launcher else ""
    parent = claim.launcher or census.parent(seen)
    claim.key = key(one, parent.pid if parent else seen.pid, claim.kind)
    return claim
