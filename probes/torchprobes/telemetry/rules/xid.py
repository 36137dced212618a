"""Rules on what the driver told of a GPU: XIDs, live and in the kernel's log (reference: telemetry 2f, 2h).

A fault of the hardware since boot stays a fault until the driver itself, after two hours, asks for nothing: whoever
reset the GPU meanwhile has mended it (NVSentinel looks back as far after a boot). An XID about which the sources
disagree is told with what each of them says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...model import Scope, Severity
from ...samples import GpuSample, KernelEvent, Sample
from ..told import Group
from .base import OWN, Check, GpuRule, Look, On, duration, listed
from .fixes import DMESG, FIELD_DIAGNOSTIC, INSPECT, REBOOT, RESET, drained, look_at
from .xids import CATALOGUE, DISPUTED, Action, dispute, escalation, xid

SETTLES_S: Final = 7200.0

DISPUTED_HERE: Final = DISPUTED - {31}
"""31 is an illegal address of a program to all but DCGM, which minds the memory: told as the program's."""

CLEANUP: Final = 45
"""What the driver writes after a program was killed, too: no fault by itself (k8s-device-plugin and gcm ignore it)."""

CABLES: Final = frozenset({54, 167})
"""Those of the catalogue's hands-on XIDs that speak of the hardware; the others of software and of wear."""

Chosen = Callable[[int], bool]


def _asks_for(*actions: Action) -> Chosen:
    return lambda code: xid(code).action in actions and code not in DISPUTED_HERE and code != CLEANUP


_reboot, _reset = _asks_for(Action.REBOOT), _asks_for(Action.RESET)
_workflow, _unknown = _asks_for(Action.WORKFLOW), _asks_for(Action.UNKNOWN)
_application, _information = _asks_for(Action.APPLICATION), _asks_for(Action.INFORMATION)


def _hands_on(code: int) -> bool:
    return code in CABLES


def _set_up(code: int) -> bool:
    return xid(code).action is Action.HARDWARE and code not in CABLES


def _of_hardware(code: int) -> bool:
    return _reboot(code) or _reset(code) or _workflow(code) or _hands_on(code)


def _is_disputed(code: int) -> bool:
    return code in DISPUTED_HERE


def _of_program(code: int) -> bool:
    return _application(code) or code == CLEANUP


def _groups(gpu: GpuSample, look: Look) -> list[Group]:
    told = look.past.told.of_gpu(gpu)
    return [group for (kind, _), group in told.items() if kind == "xid"] if told else []


def _is_settled(gpu: GpuSample, group: Group, sample: Sample) -> bool:
    """Old, and the driver asks for nothing; where it cannot be asked, nothing is settled."""
    return _age_s(group, sample) > SETTLES_S and gpu.recovery_action == 0


def _age_s(group: Group, sample: Sample) -> float:
    return max(0.0, (sample.t_ns - group.last.t_ns) / 1e9)


def _by(chosen: Chosen, settled: bool = False, settles: bool = False) -> GpuRule:
    """XIDs of this kind. Those that settle are told by one row while they matter, by another after."""

    def when(gpu: GpuSample, look: Look) -> str | None:
        found = [
            _words(group, look.sample)
            for group in _groups(gpu, look)
            if group.code is not None
            and chosen(group.code)
            and (not settles or _is_settled(gpu, group, look.sample) is settled)
        ]
        return listed(found) or None

    return when


def _words(group: Group, sample: Sample) -> str:
    """`XID 79 GPU has fallen off the bus, twice, last 3 min ago, pid 433 python3 of job 12.0 (who disagrees)`."""
    code = group.code or 0
    known = xid(code)
    name = "not known to this torchdoctor" if known.action is Action.UNKNOWN else known.name
    times = "" if group.occurrences == 1 else f", {group.occurrences} times, last"
    argued = f" ({dispute(code)})" if dispute(code) else ""
    return f"XID {code} {name}{times}, {duration(_age_s(group, sample))} ago{whose(group.last)}{argued}"


def whose(event: KernelEvent) -> str:
    """Whom an event names: process and job, as far as they are known; "" if neither is."""
    pid = f"pid {event.pid}" if event.pid is not None else ""
    who = " ".join(part for part in (pid, event.process[:40]) if part)
    job = f"job {event.job[:80]}" if event.job else ""
    told = " of ".join(part for part in (who, job) if part)
    return f", {told}" if told else ""


def _again(gpu: GpuSample, look: Look) -> str | None:
    found = [
        escalation(group.code, group.occurrences)
        for group in _groups(gpu, look)
        if group.code is not None and not _is_settled(gpu, group, look.sample)
    ]
    return "; ".join(words for words in found if words) or None


def _off_bus(gpu: GpuSample, look: Look) -> str | None:
    group = look.past.told.of_gpu(gpu).get(("off-bus", None))
    if group is None or _is_settled(gpu, group, look.sample):
        return None
    return f"{duration(_age_s(group, look.sample))} ago: {group.last.text[:160]}"


CHECKS: Final = (
    Check(
        id="TD-XID-001",
        title="the driver told of a fault after which the machine is to be rebooted",
        severity=Severity.CRITICAL,
        why="The GPU cannot be reached until the machine is started anew.",
        fix=REBOOT,
        source=f"{CATALOGUE}: restart the machine; DCGM fails",
        gpu=_by(_reboot, settles=True),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-002",
        title="the driver told of a fault after which the GPU is to be reset",
        severity=Severity.CRITICAL,
        why="What runs on this GPU fails or is wrong until it is reset.",
        fix=RESET,
        source=f"{CATALOGUE}: reset the GPU; DCGM fails at 95, 119, 120, 140",
        gpu=_by(_reset, settles=True),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-003",
        title="the driver told of a fault with a workflow of its own",
        severity=Severity.CRITICAL,
        why="A double-bit error or an NVLink fault: NVIDIA's page on this XID says step by step what to do.",
        fix=drained(f"docs.nvidia.com/deploy/xid-errors; {FIELD_DIAGNOSTIC.command.rsplit(': ', 1)[1]}"),
        source=f"{CATALOGUE}: workflow; DCGM fails at 48 and 74",
        gpu=_by(_workflow, settles=True),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-004",
        title="the driver told of a fault of power or of PCIe",
        severity=Severity.CRITICAL,
        why="A cable, the supply or the slot: somebody has to look at the machine.",
        fix=INSPECT,
        source=f"{CATALOGUE}: hands on the hardware; 167 has no action there",
        gpu=_by(_hands_on, settles=True),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-005",
        title="an XID on which the sources disagree",
        severity=Severity.WARNING,
        why="To NVIDIA no more than information or the program's own; to others the hardware's first sign.",
        fix=RESET,
        source=f"{CATALOGUE}, against AzNHC, imbue, DCGM, gcm and gpud: as told with each",
        gpu=_by(_is_disputed),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-006",
        title="most likely a program's own fault",
        severity=Severity.INFO,
        why="An illegal address or a wrong command of a program, or what the driver writes when one is killed; the GPU "
        "goes on. Many programs with it on one GPU, and none on others, speak of the hardware after all.",
        fix=look_at("CUDA_LAUNCH_BLOCKING=1 …, or compute-sanitizer …", Scope.PROCESS),
        source=f"{CATALOGUE}: restart the program; k8s-device-plugin and gcm ignore 13, 31, 43, 45",
        gpu=_by(_of_program),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-007",
        title="the driver noted something",
        severity=Severity.INFO,
        why="NVIDIA's catalogue asks for nothing; XID 43 is a program's end, XID 154 a change of the recovery action, "
        "which has a check of its own.",
        fix=DMESG,
        source=f"{CATALOGUE}: ignore",
        gpu=_by(_information),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-008",
        title="an XID of set-up or of wear",
        severity=Severity.WARNING,
        why="Software is to be updated, a virtual machine restarted, or the power smoothing wears out.",
        fix=DMESG,
        source=f"{CATALOGUE}: 78, 151, 162 to 165",
        gpu=_by(_set_up),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-009",
        title="an XID that the catalogue does not have",
        severity=Severity.WARNING,
        why="A newer driver has more of them; it is told rather than dropped.",
        fix=DMESG,
        source=OWN,
        gpu=_by(_unknown),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-010",
        title="a fault of the hardware since boot, which the driver has left behind",
        severity=Severity.INFO,
        why="More than two hours old, and the driver asks for no recovery: somebody reset the GPU since.",
        fix=DMESG,
        source=f"NVSentinel looks back two hours; {OWN}",
        gpu=_by(_of_hardware, settled=True, settles=True),
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-011",
        title="the same fault after it should have been mended",
        severity=Severity.CRITICAL,
        why="Restarting does not help: have the hardware inspected.",
        fix=INSPECT,
        source="gpud: the same XID that asks for a reboot, twice, is for hardware inspection",
        gpu=_again,
        on=On.TOLD,
    ),
    Check(
        id="TD-XID-012",
        title="the kernel's log says that the GPU has fallen off the bus",
        severity=Severity.CRITICAL,
        why="The GPU cannot be reached until the machine is started anew: power, seating, riser or the part.",
        fix=REBOOT,
        source="gpud xid/kmsg.go; NVIDIA XID 79",
        gpu=_off_bus,
        on=On.TOLD,
    ),
)
