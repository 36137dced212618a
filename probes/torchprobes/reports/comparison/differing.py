"""Everything of machines and targets in which platforms differ, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ...model import Finding, Inventory, Severity
from ...quantity import quantity
from .. import inventory
from . import figures
from .model import Platform

Values = tuple[str | None, ...]
"""A value a platform; None where it is not there, "" where nobody knows."""

FINDING: Final = "finding"
"""The kind of a difference that is a finding of the machine, and of no inventory."""

_STATES: Final = {
    "power_limit": "power limit", "memory_clock": "memory clock", "sm_clock_max": "max SM clock",
    "pcie_width": "PCIe width", "pcie_generation": "PCIe generation",
}  # fmt: skip
"""Figures that say under what a probe ran -> the setting of a GPU that they tell, for reports without an inventory."""

_SAME_CLOCK: Final = 0.01
"""Share by which a clock or a limit may be read otherwise from one instant to the next."""


@dataclass(frozen=True, slots=True)
class Different:
    """One thing in which platforms differ. `parts` gives each platform the number of its group, -1: nobody knows."""

    kind: str
    name: str
    values: Values
    parts: tuple[int, ...]

    @property
    def groups(self) -> list[tuple[str | None, list[int]]]:
        """Values with the places of the platforms that have them, in the order of their first places."""
        told: dict[int, list[int]] = {}
        for index, part in enumerate(self.parts):
            if part >= 0:
                told.setdefault(part, []).append(index)
        return [(self.values[places[0]], places) for places in told.values()]

    @property
    def apart(self) -> frozenset[int]:
        """Places that are not of the largest group; of two as large, not of the one that comes first."""
        counted = Counter(part for part in self.parts if part >= 0)
        most = max(counted, key=lambda part: (counted[part], -part))
        return frozenset(index for index, part in enumerate(self.parts) if part >= 0 and part != most)


def between(platforms: Sequence[Platform]) -> Iterator[Different]:
    """Settings of inventories, states under which probes ran, and findings of the machines."""
    known = set()
    for kind, name, values in _settings(platforms):
        parts = _parts(values)
        if max(parts, default=-1) > 0:
            known.add((kind, name.partition(" ")[2] if kind == "gpu" else name))
            yield Different(kind, name, values, parts)
    for name, values in _states(platforms):
        parts = _parts(values)
        if max(parts, default=-1) > 0 and not any(kind == "gpu" and said.endswith(name) for kind, said in known):
            yield Different("gpu", name, values, parts)
    yield from _findings(platforms)


def _parts(values: Values) -> tuple[int, ...]:
    numbers: dict[str | None, int] = {}
    return tuple(-1 if value == "" else numbers.setdefault(value, len(numbers)) for value in values)


# --- settings ----------------------------------------------------------------------------------------------------


def _settings(platforms: Sequence[Platform]) -> Iterator[tuple[str, str, Values]]:
    inventories = [platform.inventory for platform in platforms]
    names: dict[str, dict[str, None]] = {}
    for each in inventories:
        for kind, part in each.parts.items():
            names.setdefault(kind, {}).update(dict.fromkeys(part))
    for kind, of_kind in names.items():
        tables = [each.parts.get(kind) for each in inventories]
        for name in of_kind:
            found = [table.get(name) if table is not None else "" for table in tables]
            if any(value != found[0] for value in found):
                yield kind, name, tuple(_or_unread(v, e, kind, name) for v, e in zip(found, inventories, strict=True))


def _or_unread(value: str | None, each: Inventory, kind: str, name: str) -> str | None:
    """The value; "" where it is absent and could not be read, so that its absence means nothing."""
    return "" if value is None and inventory.unread(each, kind, name) else value


# --- states ------------------------------------------------------------------------------------------------------


def _states(platforms: Sequence[Platform]) -> Iterator[tuple[str, Values]]:
    """Limits and clocks as NVML told them beside a probe's timing."""
    told = [_of_platform(platform) for platform in platforms]
    for figure, name in _STATES.items():
        values = [each.get(figure) for each in told]
        known = [value for value in values if value is not None]
        if known and max(v for v, _ in known) > min(v for v, _ in known) * (1 + _SAME_CLOCK):
            yield name, tuple("" if value is None else quantity(value[0], value[1]) for value in values)


def _of_platform(platform: Platform) -> dict[str, tuple[float, str]]:
    """The highest value of each: what is read before the load has come up is lower."""
    found: dict[str, tuple[float, str]] = {}
    for result in platform.report.results:
        for figure in result.figures:
            if figure.name in _STATES and figures.is_state(figure.name):
                most = found.get(figure.name, (figure.value, figure.unit))[0]
                found[figure.name] = (max(most, figure.value), figure.unit)
    return found


# --- findings ----------------------------------------------------------------------------------------------------


def _findings(platforms: Sequence[Platform]) -> Iterator[Different]:
    """What only some machines have a warning of, or worse."""
    told = [{finding.id: finding for finding in _of_machine(platform)} for platform in platforms]
    for name in dict.fromkeys(name for each in told for name in each):
        values: Values = tuple(each[name].seen or name if name in each else None for each in told)
        parts = tuple(0 if value is None else 1 for value in values)
        if len(set(parts)) > 1:
            yield Different(FINDING, name, values, parts)


def _of_machine(platform: Platform) -> Iterator[Finding]:
    of_sample = (f for r in platform.report.results if r.group == "telemetry" for f in r.findings)
    yield from (f for f in (*platform.report.findings, *of_sample) if f.severity is not Severity.INFO)


def severity(platforms: Sequence[Platform], name: str) -> Severity:
    """The worst that a finding of that id is on any of them."""
    found = {f.severity for platform in platforms for f in _of_machine(platform) if f.id == name}
    return Severity.CRITICAL if Severity.CRITICAL in found else Severity.WARNING
