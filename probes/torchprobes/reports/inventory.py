"""What a report's node and target were made of, from everything in it that says so; the kinds as a table."""

from __future__ import annotations

from collections.abc import Mapping
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
    "network": Kind("network card", 0.6),
}
"""Every kind that an inventory may have."""


def joined(*inventories: Inventory) -> Inventory:
    """Several inventories of the same node as one: an earlier one's value counts, and what one knows is not unread."""
    parts: dict[str, dict[str, str]] = {}
    unread: dict[str, str] = {}
    for inventory in inventories:
        for kind, values in inventory.parts.items():
            known = parts.setdefault(kind, {})
            known.update({name: value for name, value in values.items() if name not in known})
        unread.update({key: why for key, why in inventory.unread.items() if key not in unread})
    return Inventory(parts=parts, unread={key: why for key, why in unread.items() if not _known(parts, key)})


def _known(parts: Mapping[str, Mapping[str, str]], key: str) -> bool:
    kind, slash, name = key.partition("/")
    return bool(slash) and name in parts.get(kind, {})


def unread(inventory: Inventory, kind: str, name: str = "") -> str:
    """Why nobody knows whether `name` of `kind` is there, "" if its absence means that it is not.

    Reasons stand under "" (all of it), the kind, the kind and a part of it that ends in a colon (`package/deb:`), or
    `kind/name`.
    """
    if name and name in inventory.parts.get(kind, {}):
        return ""
    for key in ("", kind, f"{kind}/{name}"):
        if key in inventory.unread:
            return inventory.unread[key]
    part = next((key for key in inventory.unread if key.endswith(":") and f"{kind}/{name}".startswith(key)), None)
    return inventory.unread[part] if part is not None else ""


def of(report: Report) -> Inventory:
    """The inventory of machine and target together."""
    return report.machine.inventory
