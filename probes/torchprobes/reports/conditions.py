"""What a report says about how its figures came about: clocks, heat, power and what held them, and who was beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torchprobes.model import Figure, Report, Result
from torchprobes.quantity import quantity

_WHEN: Final = "when"
_HELD: Final = "clocks.held."

COLUMNS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("SM clock", ("sm_clock", "sm_clock_max")),
    ("memory clock", ("memory_clock",)),
    ("temperature", ("temperature",)),
    ("power", ("power", "power_limit")),
    ("PCIe", ("pcie_generation", "pcie_width")),
)
"""Words -> the figures that a timed phase has with its label `when`; of two, the second is what the first can be."""

_NAMES: Final = frozenset(
    {name for _, names in COLUMNS for name in names} | {"power_limit_default", "pcie_generation_max", "pcie_width_max"}
)


@dataclass(frozen=True, slots=True)
class Phase:
    """One timed phase of a probe and the state of its GPU in it."""

    probe: str
    when: str
    cells: tuple[str | None, ...]
    """A text a column; None where it was not read."""
    held: str | None
    """What held the clocks: "" is nothing, None is not read."""


def is_condition(figure: Figure) -> bool:
    """Whether a figure says how another was measured, and is no result."""
    return _WHEN in figure.labels and figure.name in _NAMES


def phases(results: Iterable[Result]) -> tuple[Phase, ...]:
    """Every phase whose clocks were read, in the order of the report."""
    return tuple(phase for result in results for phase in _of(result))


def _of(result: Result) -> Iterable[Phase]:
    read: dict[str, dict[str, Figure]] = {}
    for figure in filter(is_condition, result.figures):
        read.setdefault(figure.labels[_WHEN], {})[figure.name] = figure
    held = {fact.name.removeprefix(_HELD): fact.value for fact in result.facts if fact.name.startswith(_HELD)}
    for when in (*read, *(name for name in held if name not in read)):
        there = read.get(when, {})
        why = held.get(when)
        yield Phase(
            result.name, when, tuple(_cell(there, names) for _, names in COLUMNS), None if why is None else str(why)
        )


def _cell(there: Mapping[str, Figure], names: Sequence[str]) -> str | None:
    first, second = (there.get(name) for name in (*names, "")[:2])
    if first is None:
        return None
    if first.name == "pcie_generation":
        return f"{first.value:g}" + (f" × {second.value:g}" if second else "")
    unit = "°C" if first.unit == "C" else first.unit
    return quantity(first.value, unit) + (f" of {second.value:g}" if second else "")


def while_words(phase: Phase) -> str:
    """What was timed: `compute.gemm bf16`."""
    own = phase.probe.rpartition(".")[2]
    return f"{phase.probe} {phase.when.removeprefix(f'{own}.')}"


def caches(report: Report) -> tuple[tuple[str, str], ...]:
    """(state, probes that began with their caches in it): cold is a compile from nothing."""
    states: dict[str, list[str]] = {}
    for result in report.results:
        if result.cache_state:
            states.setdefault(result.cache_state, []).append(result.name)
    return tuple((state, ", ".join(names)) for state, names in states.items())


def beside(report: Report) -> tuple[tuple[str, str], ...]:
    """(what was said of others on the devices, probes that say it); () where no probe says anything of it."""
    said: dict[str, list[str]] = {}
    for result in report.results:
        for evidence in result.evidence:
            if evidence.kind == "neighbours":
                said.setdefault(evidence.text, []).append(result.name)
    return tuple((words, ", ".join(names)) for words, names in said.items())
