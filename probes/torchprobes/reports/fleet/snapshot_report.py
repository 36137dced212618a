"""A snapshot as a report, so that nodes that were only looked at stand in the same matrix as those that were probed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from torchprobes.cells import Absent, number, throttle_words
from torchprobes.model import (
    SCHEMA,
    Evidence,
    Fact,
    Figure,
    Finding,
    Frozen,
    Inventory,
    Machine,
    Report,
    Result,
    Severity,
    Target,
    Tier,
    Verdict,
)
from torchprobes.rundir import RunError
from torchprobes.samples import LANES, GpuSample, Sample
from torchprobes.telemetry.verdict import verdict_of

from ..write import with_gpus

TIER: Final = "snapshot"
NAME: Final = "telemetry"

_NOT_TAKEN: Final = Inventory(unread={"": "made by a torchdoctor that took no inventory"})


class Choice(Frozen, frozen=True, kw_only=True):
    """The target of a snapshot: `chosen` is None where no interpreter has torch, `why` says so."""

    chosen: Target | None = None
    why: str = ""


class Snapshot(Frozen, frozen=True, kw_only=True):
    """The part of `snapshot --json` that a report is made of."""

    schema: int
    machine: Machine
    sample: Sample
    torchdoctor: str = ""
    taken: str = ""
    target: Choice = Choice()
    findings: tuple[Finding, ...] = ()
    line: str = ""


def report_of(snapshot: Mapping[str, Any]) -> Report:
    """The report of a `snapshot --json`: of tier "snapshot", with one result, "telemetry", and no probe.

    The figures of that result are the numbers of the sample, those of a GPU with the label gpu=INDEX; a cell without a
    number is no figure, and evidence says why. Its verdict comes of its findings.

    Raises:
        RunError: one line: it is no snapshot, or one of a later schema.
    """
    found = _checked(snapshot)
    result = _telemetry(found)
    target = found.target.chosen or Target(python="", refusal=found.target.why or "no interpreter was looked for")
    return Report(
        torchdoctor=found.torchdoctor,
        machine=with_gpus(found.machine, found.sample),
        target=target,
        tier=TIER,
        started=found.taken,
        seconds=0.0,
        verdict=result.verdict,
        results=(result,),
    )


def _checked(snapshot: Mapping[str, Any]) -> Snapshot:
    schema = snapshot.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise RunError(f"a snapshot of schema {schema}, this torchdoctor reads up to {SCHEMA}: upgrade torchdoctor")
    try:
        found = msgspec.convert(snapshot, Snapshot)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RunError(f"it is no snapshot: {' '.join(str(error).split())[:160]}") from None
    if "inventory" in snapshot["machine"]:
        return found
    machine = msgspec.structs.replace(found.machine, inventory=_NOT_TAKEN)
    return msgspec.structs.replace(found, machine=machine)


def _telemetry(found: Snapshot) -> Result:
    figures = tuple(figures_of(found.sample))
    return Result(
        name=NAME,
        group=NAME,
        tier=Tier.QUICK,
        device=", ".join(f"gpu:{gpu.index}" for gpu in found.sample.gpus) or "cpu",
        verdict=_verdict(found, figures),
        reason=found.line or found.sample.driver_state,
        seconds=0.0,
        figures=figures,
        facts=tuple(_facts(found.sample)),
        findings=found.findings,
        evidence=tuple(_unread(found.sample)),
        command="torchdoctor snapshot --json",
    )


def _verdict(found: Snapshot, figures: tuple[Figure, ...]) -> Verdict:
    """As `gpus` and `status` say it; of a node without a GPU it is the host that was looked at."""
    verdict = verdict_of(found.sample, found.findings)
    if verdict is not Verdict.SKIP:
        return verdict
    warned = any(finding.severity is Severity.WARNING for finding in found.findings)
    return Verdict.DEGRADED if warned else Verdict.PASS if figures else Verdict.UNSURE


# --- numbers -------------------------------------------------------------------------------------------------------

_UNITS: Final = (
    ("_mbytes_per_s", "MB/s"), ("_mbits_per_s", "Mbit/s"), ("_gbits_per_s", "Gbit/s"), ("_bytes_per_s", "B/s"),
    ("_percent_1m", "percent"), ("_percent", "percent"), ("_bytes", "B"), ("_mhz", "MHz"), ("_w", "W"), ("_c", "°C"),
    ("_s", "s"), ("_cores", "cores"),
)  # fmt: skip
"""The unit by how a key ends; the longer ending first. A key without one is a count."""

_NO_QUANTITY: Final = frozenset(
    {"throttle_reasons", "numa_node", "minor_number", "compute_capability", "fabric_health_mask", "fabric_clique",
     "performance_state", "compute_mode", "energy_j", "cores", "recovery_action"}
)  # fmt: skip
"""Numbers that are codes, identities or bit sets, or that only tell how long the driver has been loaded."""

_HOST_PARTS: Final = (
    ("disks", "disk", lambda disk: disk.path),
    ("network", "interface", lambda interface: interface.name),
    ("ports", "port", lambda port: f"{port.device}/{port.port}"),
)
"""(Rows of the host, the label of their figures, the label's value)."""


def figures_of(sample: Sample) -> Iterator[Figure]:
    """Every number of a sample as a figure; n is 1, because it is one reading."""
    for gpu in sample.gpus:
        yield from _numbers(gpu, tuple(LANES), {"gpu": str(gpu.index)})
    host = sample.host
    yield from _numbers(host, host.__struct_fields__, {})
    for rows, label, name in _HOST_PARTS:
        for row in getattr(host, rows):
            yield from _numbers(row, row.__struct_fields__, {label: name(row)}, f"{label}_")


def _numbers(row: Any, names: tuple[str, ...], labels: dict[str, str], prefix: str = "") -> Iterator[Figure]:
    for name in names:
        value = None if name in _NO_QUANTITY or name == "port" else number(getattr(row, name))
        if value is not None:
            yield Figure(name=prefix + name, value=float(value), unit=_unit(name), labels=labels)


def _unit(name: str) -> str:
    return next((unit for ending, unit in _UNITS if name.endswith(ending)), "")


def _facts(sample: Sample) -> Iterator[Fact]:
    yield Fact(name="driver_state", value=sample.driver_state)
    for gpu in sample.gpus:
        yield Fact(name=f"gpu{gpu.index}_state", value=gpu.state)
        if isinstance(gpu.throttle_reasons, int):
            words = throttle_words(gpu.throttle_reasons) or "nothing"
            yield Fact(name=f"gpu{gpu.index}_clocks_held_by", value=words, evidence=f"{gpu.throttle_reasons:#x}")


def _unread(sample: Sample) -> Iterator[Evidence]:
    """Why cells hold no number, a line a reason: which of them, on which GPUs."""
    for gpu in sample.gpus:
        reasons: dict[str, list[str]] = {}
        for name, cell in _absent(gpu):
            reasons.setdefault(f"{cell.state.value}: {cell.why}", []).append(name)
        for reason, names in reasons.items():
            yield Evidence(kind="not read", text=f"GPU {gpu.index}: {reason} ({', '.join(names)})")


def _absent(gpu: GpuSample) -> Iterator[tuple[str, Absent]]:
    cells = ((name, getattr(gpu, name)) for name in LANES)
    return ((name, cell) for name, cell in cells if isinstance(cell, Absent))
