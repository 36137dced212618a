"""From "all wait for rank 2" to a cause: what does rank 2 do, and is that a hang or only slow?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ...model import Evidence
from ...quantity import quantity
from ..wording import ranks_words
from .candidate import Candidate, told
from .case import Case, Seen
from .postures import Posture, posture
from .quiet import AGREE_S, ONE_LOOK, Quiet
from .use import computing, idle

CAUSES: Final = {
    "stopped": "stopped",
    "blocked": "blocked-io",
    "compiling": "compiling",
    "loading": "dataloader-stuck",
}
"""What a rank that others wait for is accused of, by what it does; anything else is the hang of where they wait."""

_DOES: Final = {
    "stopped": "is stopped",
    "blocked": "is in uninterruptible sleep",
    "compiling": "is compiling",
    "loading": "waits for the workers of its DataLoader",
    "saving": "is at a checkpoint",
    "initialising": "is at init",
    "importing": "is importing",
    "waiting": "waits in another collective",
}

_FEW_BYTES_PER_S: Final = 1 << 16


def accuse(
    case: Case,
    still: Quiet,
    suspects: Sequence[int],
    waiters: Sequence[int],
    where: str,
    cause: str,
    strength: str,
    evidence: Sequence[Evidence] = (),
    proof: bool = False,
) -> Candidate:
    """The candidate that all `waiters` wait, in `where`, for `suspects`.

    `cause` is what it is if nothing tells more of what the suspects do. It is sure if two looks agree, nothing of the
    suspects moved, and either `proof` or a silence beyond all slowness stands behind it.
    """
    seen = [case.ranks[rank] for rank in suspects if rank in case.ranks]
    postures = [posture(one, last=True) for one in seen]
    told_by = {CAUSES[p.does] for p in postures if p.does in CAUSES}
    named = told_by.pop() if len(told_by) == 1 and len(postures) == len(suspects) else cause
    doubt = _doubt(still, seen, proof)
    site = next((p.site for p in postures if p.site), "")
    return Candidate(
        cause=named,
        ranks=tuple(suspects),
        strength=strength,
        line=_line(case, still, suspects, waiters, where) + _activity(seen, postures, len(suspects)),
        site=site,
        sure=not doubt,
        doubt=doubt,
        evidence=(*evidence, *_looks(seen, postures)),
    )


def _line(case: Case, still: Quiet, suspects: Sequence[int], waiters: Sequence[int], where: str) -> str:
    """`no progress for 14 s: ranks 0, 1 and 3 wait in all_reduce #26 for rank 2 on node1`."""
    hosts = {case.ranks[rank].host for rank in suspects if rank in case.ranks}
    on = f" on {hosts.pop()}" if len(hosts) == 1 else ""
    who = f"{ranks_words(waiters)} {'waits' if len(waiters) == 1 else 'wait'}" if waiters else "waiting"
    place = (" at init" if where == "init" else f" in {where}") if waiters and where else ""
    return f"{still.words}: {who}{place} for {ranks_words(suspects)}{on}"


def _activity(seen: Sequence[Seen], postures: Sequence[Posture], count: int) -> str:
    """`, which is at train.py:41 (load), using no CPU`; of several suspects the first."""
    if not seen:
        return ", of which no process was found"
    first, does = seen[0], postures[0]
    what = _DOES.get(does.does, "")
    if does.why and what:
        what = f"{what} ({does.why})"
    if does.site:
        what = f"{what} at {does.site}" if what else f"is at {does.site}"
    use = _use(first)
    if not what and not use:
        return ""
    which = "which" if count == 1 else f"of which rank {first.rank}"
    return f", {which} {what}, {use}" if what and use else f", {which} {what or _USES.get(use, f'is {use}')}"


_USES: Final = {"using no CPU": "uses no CPU", "using CPU": "uses CPU"}


def _use(seen: Seen) -> str:
    """What it uses between the looks: disk, CPU, GPU, or nothing."""
    looks = seen.evidence.processes
    if len(looks) < 2 or not seen.alive:
        return ""
    first, last = looks[0], looks[-1]
    took = max(1e-3, (last.t_ns - first.t_ns) / 1e9)
    if first.tree_bytes is not None and last.tree_bytes is not None:
        rate = (last.tree_bytes - first.tree_bytes) / took
        if rate > _FEW_BYTES_PER_S:
            return f"reading or writing {quantity(rate, 'B/s')}"
    if computing(seen):
        return "computing on its GPU"
    still = idle(seen)
    return "" if still is None else "using no CPU" if still else "using CPU"


def _doubt(still: Quiet, seen: Sequence[Seen], proof: bool) -> str:
    """Why it may yet go on by itself, "" if it will not."""
    busy = [one.rank for one in seen if idle(one) is False]
    if busy:
        return f"{'it' if len(seen) == 1 else ranks_words(busy)} may only be slow"
    if not still.agree or still.looks_s < AGREE_S:
        return ONE_LOOK
    if any(idle(one) is None for one in seen) and not proof:
        return "whether it uses CPU or disk could not be read"
    if proof or still.long:
        return ""
    return f"{'it' if len(seen) < 2 else 'they'} may only be slow (sure from {still.limit_s:.0f} s on)"


def _looks(seen: Sequence[Seen], postures: Sequence[Posture]) -> Iterator[Evidence]:
    for one, does in list(zip(seen, postures, strict=True))[:8]:
        if does.by in ("py-spy", "faulthandler", "server"):
            yield told("stack", f"rank {one.rank} stands in {does.site or 'torch'} ({does.by})")
        looks = one.evidence.processes
        if len(looks) > 1:
            first, last = looks[0], looks[-1]
            cpu = "unread" if first.tree_cpu_s is None or last.tree_cpu_s is None else (
                f"{last.tree_cpu_s - first.tree_cpu_s:.2f} s")  # fmt: skip
            took = (last.t_ns - first.t_ns) / 1e9
            at = f" in {last.wchan}" if last.wchan not in ("", "0") else ""
            yield told("process", f"rank {one.rank}: state {last.state or 'unread'}{at}, CPU {cpu} in {took:.1f} s")
