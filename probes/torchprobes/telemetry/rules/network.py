"""Rules on InfiniBand and RoCE ports (reference: telemetry 2e)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ...cells import number
from ...model import Scope, Severity
from ...samples import PortSample, Sample
from ..past import port_key
from .base import OWN, Check, Look, NodeRule, On, duration, listed, text
from .fixes import look_at

_PORTS = look_at("ibstat; ip -s link", Scope.NODE)


class Expected(NamedTuple):
    """How many ports of what rate gpud expects of a node with these GPUs."""

    gpu: re.Pattern[str]
    ports: int
    gbits_per_s: float


EXPECTED: Final = (
    Expected(re.compile(r"\bA100\b"), 1, 200),
    Expected(re.compile(r"\bH[12]00\b|\bG?B200\b"), 8, 400),
)
WHOLE_NODE: Final = 8
"""GPUs of a node of which that many ports are expected; a part of a node has a part of its ports."""


def _name(port: PortSample) -> str:
    return f"{port.device[:40]}/{port.port}"


def _is_active(port: PortSample) -> bool:
    return "ACTIVE" in text(port.state).upper()


def _down(unplugged: bool) -> NodeRule:
    """A port that is not active; one that hears nobody has no cable, one that was switched off is left alone."""

    def when(sample: Sample, _: Look) -> str | None:
        found = [
            f"{_name(port)} is {text(port.state)} ({text(port.physical_state) or 'physical state unknown'})"
            for port in sample.host.ports
            if text(port.state) and not _is_active(port) and _hears(port) is (not unplugged)
        ]
        return listed(found) or None

    return when


def _hears(port: PortSample) -> bool | None:
    """Whether somebody is at the other end, None if it was switched off (sysfs, phys_state)."""
    word = re.sub(r"[^a-z]", "", text(port.physical_state).lower())
    return None if word in ("disabled", "sleep") else word != "polling"


def _few(sample: Sample, _: Look) -> str | None:
    names = [text(gpu.name) for gpu in sample.gpus]
    for row in EXPECTED:
        if len(names) < WHOLE_NODE or not sample.host.ports or not all(map(row.gpu.search, names)):
            continue
        fast = sum(_is_active(p) and (number(p.rate_gbits_per_s) or 0) >= row.gbits_per_s for p in sample.host.ports)
        if fast < row.ports:
            return f"{fast} active ports of {row.gbits_per_s:g} Gbit/s or more (gpud expects {row.ports})"
    return None


def _slow(sample: Sample, _: Look) -> str | None:
    """An active port that is slower than its peers on the same kind of device."""
    rates = {_name(p): (_kind(p), number(p.rate_gbits_per_s)) for p in sample.host.ports if _is_active(p)}
    most: dict[str, float] = {}
    for kind, rate in rates.values():
        most[kind] = max(rate or 0.0, most.get(kind, 0.0))
    found = [f"{name} {rate:g} Gbit/s" for name, (kind, rate) in rates.items() if rate and rate < most[kind]]
    return f"{listed(found)}, where others have {max(most.values()):g}" if found else None


def _kind(port: PortSample) -> str:
    return re.sub(r"\d+$", "", port.device) + text(port.link_layer)


def _went_down(sample: Sample, look: Look) -> str | None:
    counts = {_name(port): look.past.since_start(port_key(port), "link_downed") for port in sample.host.ports}
    return listed([f"{name} {count:.0f} times since start" for name, count in counts.items() if count]) or None


def _flaps(sample: Sample, look: Look) -> str | None:
    group, span = look.past.told.of_kind("link"), look.limits["seconds"]
    count = 0 if group is None else group.since(sample.t_ns - int(span * 1e9))
    if group is None or count < look.limits["least"]:
        return None
    return f"{count} times in {duration(span)} (AzNHC's limit {look.limits['least']:g}); last: {group.last.text[:120]}"


def _no_peermem(sample: Sample, _: Look) -> str | None:
    active = any(map(_is_active, sample.host.ports))
    lacks = active and number(sample.host.peermem_loaded) == 0 and sample.gpus
    return "nvidia_peermem is not loaded, with active ports" if lacks else None


CHECKS: Final = (
    Check(
        id="TD-NET-001",
        title="a port of the fabric is not active",
        severity=Severity.WARNING,
        why="The link is there and not in use: the subnet manager has not set it up, or it is going down.",
        fix=_PORTS,
        source="gpud infiniband; AzNHC",
        node=_down(unplugged=False),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-NET-007",
        title="a port hears nobody",
        severity=Severity.INFO,
        why="No cable, or the other end is off: usual for a port that is not used, and a fault for one that should be.",
        fix=_PORTS,
        source=OWN,
        node=_down(unplugged=True),
        on=On.SAMPLE,
    ),
    Check(
        id="TD-NET-002",
        title="fewer fast ports than such a node has",
        severity=Severity.WARNING,
        why="gpud expects 8 of 400 Gbit/s beside H100, H200 and B200, AzNHC too; a site with other networks says so in "
        "its settings by leaving this check out of its gates.",
        fix=_PORTS,
        source="gpud infiniband; AzNHC nd96isr_h100_v5.conf",
        node=_few,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-NET-003",
        title="a port is slower than its peers",
        severity=Severity.WARNING,
        why="It trained to a lower rate: every ring through it runs at its speed.",
        fix=_PORTS,
        source=OWN,
        node=_slow,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-NET-004",
        title="links flap",
        severity=Severity.CRITICAL,
        why="Each loss of carrier ends or stalls the jobs that use the port: cable or optics.",
        fix=look_at("dmesg -T | grep -i 'carrier'", Scope.NODE, "root"),
        source="AzNHC azure_ib_link_flapping.nhc",
        node=_flaps,
        limits={"least": 5, "seconds": 86400},
        on=On.TOLD,
    ),
    Check(
        id="TD-NET-005",
        title="a port went down since torchdoctor began to look",
        severity=Severity.WARNING,
        why="A running job over several nodes has felt it.",
        fix=_PORTS,
        source=f"kernel link_downed; {OWN}",
        node=_went_down,
        on=On.SAMPLE,
    ),
    Check(
        id="TD-NET-006",
        title="GPUs and network cannot reach each other",
        severity=Severity.WARNING,
        reads=("host.peermem_loaded",),
        why="Without it, or DMA-BUF in kernel and driver, NCCL copies through host memory. With DMA-BUF it is not "
        "needed: NCCL_DEBUG=INFO tells which is used.",
        fix=look_at("modprobe nvidia_peermem", Scope.NODE, "root"),
        source="gpud peermem; imbue",
        node=_no_peermem,
        on=On.SAMPLE,
    ),
)
