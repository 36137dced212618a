"""What a comparison says, as data. The screen, Markdown, HTML and JSON are made of nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from torchprobes.model import Inventory, Report, Verdict

Change = Literal["lost", "gained", "worse", "better", "other", "same", "alone"]
"""What differs in a row, weightiest first: a feature that passes somewhere and not elsewhere is `lost`; `worse` and
`better` are figures against the first platform; `other` is another way without a judgement; `alone` was asked on one
platform only."""


@dataclass(frozen=True, slots=True, eq=False)
class Platform:
    """One report as a column. `label` is unique among those that are compared, and as short as that allows."""

    label: str
    report: Report
    where: str = ""
    """File or run that it was read from."""
    devices: tuple[str, ...] = ()
    """Names of its GPUs, by index; () without one."""
    device: str = ""
    """The same in words: "2 x NVIDIA H200", "CPU (AMD EPYC)"."""
    kind: Literal["check", "snapshot"] = "check"
    """A snapshot is passive: it has the machine, its sample's figures and findings, and no probe."""
    inventory: Inventory = field(default_factory=Inventory)
    """Of machine and target together; `reports.inventory.of`."""

    @property
    def sort(self) -> str:
        """What it is compared within, where only like is compared with like: the kind of its first device."""
        return self.devices[0] if self.devices else "cpu"


class Said(msgspec.Struct, frozen=True, gc=False):
    """One figure of one platform. `share` is `value` as a part of what this very device can do (its own peak, its
    expectation), where somebody says what that is; `of` names it.

    A struct and no dataclass: a thousand reports hold half a million of them, and this one is made ten times faster.
    """

    key: str
    """Name and labels: `gemm_best_rate dtype=bf16`. The same figure of every platform has the same key."""
    value: float
    unit: str
    n: int = 1
    spread: float | None = None
    share: float | None = None
    of: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one probe came to on one platform; `verdict` is None where it was not asked there."""

    verdict: Verdict | None = None
    reason: str = ""
    figures: tuple[Said, ...] = ()
    ways: tuple[tuple[str, str], ...] = ()
    """How it was done, where there are several ways: ("sdpa", "flash"), ("transport 0-1", "P2P")."""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One probe over all platforms, in their order."""

    name: str
    group: str
    cells: tuple[Cell, ...]
    change: Change = "same"
    words: tuple[str, ...] = ()
    """What differs, a line each, weightiest first: "sdpa: flash on a, math on b: lost". () where nothing does."""
    weight: float = 0.0
    """Rows are in the order of falling weight."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that platforms differ in and that may explain rows."""

    kind: str
    """A kind of the inventory, "finding", "telemetry" …"""
    name: str
    values: tuple[str | None, ...]
    """A value a platform; None where it is not there, and "" with `unread` where nobody knows."""
    words: str
    """One line that names both sides: "power limit: 700 W on a, 350 W on b"."""
    explains: tuple[str, ...] = ()
    """Names of rows that it may explain."""
    why: str = ""
    """The rule that says so, in a line, with its source."""
    weight: float = 0.0
    sure: bool = False
    """Whether evidence in the reports ties it to what it explains, and not only its kind."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A platform that lies apart from the others of its sort in one figure."""

    platform: str
    row: str
    key: str
    value: float
    unit: str
    median: float
    z: float
    """Robust z-score: (value - median) / (1.4826 * median absolute deviation)."""
    of: int
    """How many platforms of its sort have the figure."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it. `rows` have those that differ first; `causes` are ranked, likeliest first."""

    platforms: tuple[Platform, ...]
    rows: tuple[Row, ...] = ()
    causes: tuple[Cause, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    uncovered: tuple[str, ...] = ()
    """What no probe on any of them covered, a line each: it ends every comparison, green or not."""
    notes: tuple[str, ...] = ()
    """Files that could not be read, parts of inventories that nobody knows: what limits the comparison."""

    @property
    def differing(self) -> tuple[Row, ...]:
        """The rows in which anything differs."""
        return tuple(row for row in self.rows if row.change != "same")


@dataclass(frozen=True, slots=True)
class Moment:
    """One report of a node's time line, and what is another than in the one before it."""

    platform: str
    started: str
    verdict: Verdict
    changes: tuple[str, ...] = ()
    """Rows that differ from the report before, a line each, weightiest first; () for the first report of a node."""
    causes: tuple[str, ...] = ()
    """What of machine and target differs from the report before, likeliest cause first."""


@dataclass(frozen=True, slots=True)
class Track:
    """One figure of one node over time."""

    row: str
    key: str
    unit: str
    values: tuple[float | None, ...]
    """A value a moment; None where that report has no such figure."""
    drift: float | None = None
    """Last by first; None where either is missing or 0."""


@dataclass(frozen=True, slots=True)
class Line:
    """One node over time, oldest report first."""

    host: str
    moments: tuple[Moment, ...]
    tracks: tuple[Track, ...] = ()
    """Figures that moved, weightiest first."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Reports by node and by time. A node of one report has no line: `alone` names it."""

    lines: tuple[Line, ...] = ()
    alone: tuple[str, ...] = ()
