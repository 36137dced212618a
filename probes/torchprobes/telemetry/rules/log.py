"""Rules on what the kernel's log tells of the node: NVSwitches, kills, hung tasks (reference: telemetry 2f)."""

from __future__ import annotations

import re
from typing import Final

from ...model import Scope, Severity
from ...samples import Sample
from .base import OWN, Check, Look, NodeRule, On, duration
from .fixes import drained, look_at
from .xid import whose

RECENT_S: Final = 7200.0
"""What is older is no longer somebody's trouble now (AzNHC's window on XIDs)."""

_NON_FATAL: Final = re.compile(r"\bnon-?fatal\b", re.IGNORECASE)
_MEMORY = look_at("journalctl -k | grep -iE 'oom|killed process'", Scope.NODE, "root")
_STUCK = look_at("ps -eo pid,stat,wchan:32,cmd | awk '$2 ~ /D/'", Scope.NODE)


def _recent(kind: str) -> NodeRule:
    """Events of this kind in the last hours; the last of them is told with its process and job."""

    def when(sample: Sample, look: Look) -> str | None:
        group = look.past.told.of_kind(kind)
        count = 0 if group is None else group.since(sample.t_ns - int(look.limits["seconds"] * 1e9))
        if group is None or not count:
            return None
        ago = duration(max(0.0, (sample.t_ns - group.last.t_ns) / 1e9))
        times = f"{count} times in the last {duration(look.limits['seconds'])}, last " if count > 1 else ""
        return f"{times}{ago} ago{whose(group.last)}: {group.last.text[:120]}"

    return when


def _switch(fatal: bool) -> NodeRule:
    """The line itself says whether an SXID is fatal; the last one counts, and a doubtful one is taken for fatal."""
    recent = _recent("sxid")

    def when(sample: Sample, look: Look) -> str | None:
        group = look.past.told.of_kind("sxid")
        if group is None or bool(_NON_FATAL.search(group.last.text)) is fatal:
            return None
        seen = recent(sample, look)
        return f"SXID {group.last.code}, {seen}" if seen else None

    return when


CHECKS: Final = (
    Check(
        id="TD-XID-020",
        title="an NVSwitch told of a fatal fault",
        severity=Severity.CRITICAL,
        why="Every GPU behind the switch loses its links; jobs on this node end with NCCL errors.",
        fix=drained("reset all GPUs and NVSwitches together (nvidia-smi -r), or reboot", Scope.NODE),
        source="gpud sxid; imbue's list; NVIDIA's fabric manager guide",
        node=_switch(fatal=True),
        limits={"seconds": RECENT_S},
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-021",
        title="an NVSwitch told of a fault that is not fatal",
        severity=Severity.WARNING,
        why="A link of the switch recovered or was reset; watch whether it grows.",
        fix=look_at("dmesg -T | grep -i sxid", Scope.NODE, "root"),
        source="gpud sxid; imbue's list",
        node=_switch(fatal=False),
        limits={"seconds": RECENT_S},
        on=On.TOLD,
    ),
    Check(
        id="TD-LOG-001",
        title="a crash inside NCCL",
        severity=Severity.WARNING,
        why="The library itself fell over: often a version that does not fit the driver or the network plugin.",
        fix=look_at('python -c "import torch; print(torch.cuda.nccl.version())"', Scope.PROCESS),
        source="gpud nccl: segfault in libnccl.so",
        node=_recent("segfault"),
        limits={"seconds": RECENT_S},
        on=On.TOLD,
    ),
    Check(
        id="TD-LOG-002",
        title="the kernel killed a process for want of memory",
        severity=Severity.WARNING,
        why="Usually the largest, which is a rank or its data loader; its peers then wait in a collective.",
        fix=_MEMORY,
        source="gpud components/memory",
        node=_recent("oom"),
        limits={"seconds": RECENT_S},
        on=On.TOLD,
    ),
    Check(
        id="TD-LOG-003",
        title="a task hangs in the kernel",
        severity=Severity.WARNING,
        why="A program waits without end for a disk, a network file system or the driver.",
        fix=_STUCK,
        source="gpud components/cpu: 'blocked for more than'",
        node=_recent("hung-task"),
        limits={"seconds": RECENT_S},
        on=On.TOLD,
    ),
    Check(
        id="TD-LOG-004",
        title="a CPU was locked up",
        severity=Severity.WARNING,
        why="The kernel could not run anything on a core for many seconds: driver, firmware or hardware.",
        fix=_STUCK,
        source=f"gpud components/cpu: 'soft lockup'; {OWN} for hard ones",
        node=_recent("lockup"),
        limits={"seconds": RECENT_S},
        on=On.TOLD,
    ),
)
