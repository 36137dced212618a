"""What a rule of health is: a row of data with one condition. The rows stand by theme in the modules beside this one.

Thresholds and severities are those of the source that a row names, FAIL told as critical and WARN as warning; where
sources disagree, the row says whose rule it is and what the others say. "torchdoctor's own" marks what is ours.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ...cells import Cell, number
from ...model import Fix, Severity
from ...samples import GpuSample, ProcessSample, Sample
from ..past import Past

Limits = Mapping[str, float]
"""The numbers of a rule by name, as its row or the person's settings have them."""

MIB, GIB = 1 << 20, 1 << 30

OWN: Final = "torchdoctor's own rule"


class Look(NamedTuple):
    """What a condition may look at besides its subject: the whole sample, what came before it, and its limits."""

    sample: Sample
    past: Past
    limits: Limits


GpuRule = Callable[[GpuSample, Look], "str | None"]
NodeRule = Callable[[Sample, Look], "str | None"]


class On(enum.Enum):
    """What a condition goes by besides its own cells; by this the rules are asked only when they can have changed."""

    CELLS = "nothing else: the same cells give the same answer"
    SAMPLE = "the rest of the sample, or the first reading of a counter"
    COUNTERS = "how far the counters of its GPU have come since start; nothing while they stand still"
    TIMED = "how long a condition has held, or how often it began"
    TOLD = "what the driver and the kernel's log told; it can only be silent where the log can be read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule. With a `gpu` condition it is asked of every GPU, with a `node` condition once a sample.

    `reads` are the cells without which it cannot be asked: of the GPU, or of the sample (`host.shm_total_bytes`);
    `also` are those that it looks at if they are there. The condition says what was seen, with its number and limit,
    or None. `on` is what else it goes by. `needs_s` is how much must have been seen before it is asked at all.
    """

    id: str
    title: str
    severity: Severity
    why: str
    source: str
    reads: tuple[str, ...] = ()
    fix: Fix | None = None
    gpu: GpuRule | None = None
    node: NodeRule | None = None
    also: tuple[str, ...] = ()
    limits: Limits = field(default_factory=dict)
    on: On = On.CELLS
    needs_s: float = 0.0


Holds = Callable[[GpuSample, Sequence[ProcessSample], Limits], bool]
NodeHolds = Callable[[Sample, Limits], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A condition whose duration a rule asks `Past` for, by `name`; its limits are those of the check `of`."""

    name: str
    of: str
    gpu: Holds | None = None
    node: NodeHolds | None = None


# --- cells ---------------------------------------------------------------------------------------------------


def text(cell: Cell) -> str:
    """A cell as a text, "" if it holds none."""
    return cell if isinstance(cell, str) else ""


def bits(cell: Cell) -> int:
    """A cell as a set of bits, 0 if it holds none."""
    return cell if isinstance(cell, int) else 0


# --- conditions that many rows share ---------------------------------------------------------------------------


def over(cell: str, words: str) -> GpuRule:
    """The cell is above `limits["most"]`."""

    def when(gpu: GpuSample, look: Look) -> str | None:
        value, most = number(getattr(gpu, cell)), look.limits["most"]
        return words.format(value=value, most=most) if value is not None and value > most else None

    return when


def at_least(cell: str, words: str) -> GpuRule:
    """The cell has reached `limits["least"]`."""

    def when(gpu: GpuSample, look: Look) -> str | None:
        value, least = number(getattr(gpu, cell)), look.limits["least"]
        return words.format(value=value, least=least) if value is not None and value >= least else None

    return when


def raised(cell: str, words: str) -> GpuRule:
    """The cell is a flag that is set."""

    def when(gpu: GpuSample, _: Look) -> str | None:
        value = number(getattr(gpu, cell))
        return words.format(value=value) if value else None

    return when


def came_since_start(cells: Sequence[str], words: str) -> GpuRule:
    """Counters have advanced since we began to look; what was there before is told by other rows."""

    def when(gpu: GpuSample, look: Look) -> str | None:
        found = {cell: look.past.since_start(gpu.uuid, cell) for cell in cells}
        told = ", ".join(f"{count:.0f} {_plain(cell)}" for cell, count in found.items() if count)
        return f"{told} {words}" if told else None

    return when


def a_minute(cells: Sequence[str], words: str) -> GpuRule:
    """Counters advanced by more than `limits["per_minute"]` in the last minute, taken together."""

    def when(gpu: GpuSample, look: Look) -> str | None:
        counts = {cell: look.past.last_minute(gpu.uuid, cell) or 0.0 for cell in cells}
        if sum(counts.values()) <= look.limits["per_minute"]:
            return None
        told = ", ".join(f"{count:.0f} {_plain(cell)}" for cell, count in counts.items() if count)
        return f"{told} in the last minute ({words}: {look.limits['per_minute']:g})"

    return when


def _plain(cell: str) -> str:
    return cell.removeprefix("pcie_").removeprefix("nvlink_").replace("_", " ")


def duration(seconds: float) -> str:
    """A time as people say it: `40 s`, `3 min`, `2 h`, `4 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few of many, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
