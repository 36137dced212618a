"""What a report's node and target were made of, from everything in it that says so; the kinds as a table."""

from __future__ import annotations

from typing import Final, NamedTuple

from torchprobes.model import Inventory, Report


class Kind(NamedTuple):
    """One kind of things that two platforms can differ in."""

    words: str
    """The kind in a sentence: "package", "environment variable"."""
    weight: float
    """How often a difference of this kind explains something, 0 to 1; a part of a cause's rank."""


KINDS: Final[dict[str, Kind]] = {
    "driver": Kind("driver", 0.9),
    "gpu": Kind("GPU setting", 0.9),
    "topology": Kind("link", 0.8),
    "package": Kind("package", 0.7),
    "library": Kind("loaded library", 0.7),
    "variable": Kind("environment variable", 0.7),
    "toolchain": Kind("toolchain", 0.6),
    "cgroup": Kind("control group", 0.8),
    "limit": Kind("limit", 0.6),
    "python": Kind("Python", 0.5),
    "module": Kind("kernel module", 0.6),
    "cpu": Kind("CPU", 0.4),
    "sysctl": Kind("sysctl", 0.3),
    "mount": Kind("file system", 0.4),
    "kernel": Kind("kernel", 0.3),
}
"""Every kind that an inventory may have."""


def of(report: Report) -> Inventory:
    """The inventory of machine and target together."""
    return report.machine.inventory
