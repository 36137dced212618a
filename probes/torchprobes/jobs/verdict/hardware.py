"""What the driver and the kernel say of a job's GPUs while it ran: it outranks every line of a log.

An XID that a program brings about by itself (13, 31, 43: an illegal access, an assert) is no fault of the GPU; what the
rank raised says more. Which are which, NVIDIA's catalogue says (`telemetry.rules.xids`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...model import Evidence
from ...rank_evidence import NodeEvidence
from ...samples import KernelEvent
from ...telemetry.rules.xids import Action, xid
from .candidate import Candidate, told
from .case import Case, Seen
from .endings import endings
from .oom import oom_event
from .quiet import quiet

_HARD: Final = frozenset({Action.REBOOT, Action.RESET, Action.WORKFLOW, Action.HARDWARE, Action.UNKNOWN})
_ALSO_HARD: Final = frozenset({94})
_NEVER_HARD: Final = frozenset({45})
"""94, a contained memory error, ends the program and is the memory's fault; 45 tells of the clean-up after others."""

_AFTER_NS: Final = 2 * 10**9
"""The kernel's stamp of an event may come this much later than the end of the rank that it hit."""


def hardware(case: Case) -> Iterator[Candidate]:
    """GPU faults of this job's GPUs that came no later than the first end."""
    found = [(node, event, seen) for node, event in case.kernel if _hard(event) for seen in [_whose(case, node, event)]]
    ours = [(node, event, seen) for node, event, seen in found if seen is not None]
    first = next((end.t_ns for end in endings(case) if end.t_ns and end.part == "own"), 0)
    trouble = bool(first) or any(not s.alive and s.end and s.end.code != 0 for s in case.ranks.values()) or (
        quiet(case).notable)  # fmt: skip
    for node, event, seen in sorted(ours, key=lambda item: item[1].t_ns + item[0].clock_offset_ns):
        t_ns = event.t_ns + node.clock_offset_ns
        if not trouble or (first and t_ns > first + _AFTER_NS):
            continue
        yield _candidate(case, node, event, seen)
        return


def _hard(event: KernelEvent) -> bool:
    if event.kind == "off-bus":
        return True
    if event.kind != "xid" or event.code is None:
        return False
    return event.code not in _NEVER_HARD and (xid(event.code).action in _HARD or event.code in _ALSO_HARD)


def _whose(case: Case, node: NodeEvidence, event: KernelEvent) -> Seen | None:
    """The rank that an event is about: by its process, else by its GPU."""
    here = [seen for seen in case.ranks.values() if seen.node is node or seen.host == node.host]
    by_pid = [s for s in here if event.pid and event.pid in (s.evidence.identity.pid, s.evidence.identity.inner_pid)]
    if by_pid:
        return by_pid[0]
    for seen in here:
        gpu, identity = seen.evidence.gpu, seen.evidence.identity
        if event.gpu_uuid and event.gpu_uuid in (identity.gpu_uuid, gpu.uuid if gpu is not None else None):
            return seen
        if event.bus_id and gpu is not None and gpu.bus_id and _bus(gpu.bus_id) == _bus(event.bus_id):
            return seen
    return None


def _bus(text: str) -> str:
    """A bus id without its domain's leading zeros and without the function."""
    return text.lower().removesuffix(".0").rpartition(":")[0][-2:] + text.lower().removesuffix(".0").rpartition(":")[2]


def _candidate(case: Case, node: NodeEvidence, event: KernelEvent, seen: Seen | None) -> Candidate:
    rank = () if seen is None else (seen.rank,)
    name = f"XID {event.code}, {xid(event.code).name}" if event.code is not None else "the GPU has fallen off the bus"
    return Candidate(
        cause="gpu-fault",
        ranks=rank,
        strength="hardware",
        what=f"lost its GPU: {name}",
        sure=True,
        t_ns=event.t_ns + node.clock_offset_ns,
        evidence=(_event_words(node, event),),
    )


def _event_words(node: NodeEvidence, event: KernelEvent) -> Evidence:
    what = f"XID {event.code} ({xid(event.code).name})" if event.code is not None else event.kind
    pid = f", pid {event.pid}" if event.pid else ""
    return told("kernel", f"{node.host}: {what} on {event.gpu_uuid or event.bus_id or 'a GPU'}{pid}: {event.text}")


def _of_job(case: Case, node: NodeEvidence, event: KernelEvent) -> bool:
    """Whether an OOM kill has to do with this job: it hit one of its processes, or a rank there ended by SIGKILL."""
    here = [seen for seen in case.ranks.values() if seen.host == node.host]
    launcher = node.agent.pid if node.agent is not None else None
    ours = any(oom_event(case, seen) is event for seen in here) or (event.pid is not None and event.pid == launcher)
    return ours or any(seen.end is not None and seen.end.signal == "SIGKILL" for seen in here)


def kernel_evidence(case: Case) -> Iterator[Evidence]:
    """All that the kernels said of this job's processes and GPUs, whatever was made of it."""
    for node, event in case.kernel:
        if event.kind == "oom" and _of_job(case, node, event):
            yield told("kernel", f"{node.host}: out of memory, killed pid {event.pid} ({event.process}): {event.text}")
        elif event.kind in ("xid", "off-bus", "sxid") and (event.kind == "sxid" or _whose(case, node, event)):
            yield _event_words(node, event)
