"""What a report's node and target were made of, from everything in it that says so; the kinds as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from torchprobes.environment import gpu_settings
from torchprobes.model import Inventory, Report

from .said_inventory import FROM_PROBES, PEERS, of_results

NOT_ASKED: Final = "no probe of this report says it"


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
    "setting": Kind("setting of PyTorch", 0.7),
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
            parts[kind] = {**values, **parts.get(kind, {})}
        unread = {**inventory.unread, **unread}
    return Inventory(parts=parts, unread={key: why for key, why in unread.items() if not _known(parts, key)})


def _known(parts: Mapping[str, Mapping[str, str]], key: str) -> bool:
    kind, slash, name = key.partition("/")
    return bool(slash) and name in parts.get(kind, {})


def unread(inventory: Inventory, kind: str, name: str) -> str:
    """Why nobody knows whether `name` of `kind` is there; "" where it is known, or known not to be there.

    Ask this of a name that one platform has and another has not: only "" makes that a difference. Reasons stand in
    `Inventory.unread` under "" (all of it), a kind, `kind/name`, or `kind/beginning:` for names that begin so. What
    only probes say (`said_inventory.FROM_PROBES`) is unknown where no probe said it.
    """
    if name in inventory.parts.get(kind, {}):
        return ""
    beginning = f"{kind}/{name.partition(':')[0]}:"
    for key in ("", kind, f"{kind}/{name}", beginning):
        if key in inventory.unread:
            return inventory.unread[key]
    never_absent = (kind, name) in FROM_PROBES or (kind == "topology" and name.startswith(PEERS))
    return NOT_ASKED if never_absent else ""


def of(report: Report) -> Inventory:
    """The inventory of machine and target together: what was read from files, the identity, and what results say.

    Of a report that was made without an inventory it is what its identity and its results say; the rest is unread.
    """
    own, torch = report.machine.inventory, report.target.torch
    # Its version.py tells the build, 2.6.0+cu124, of which the package's own name may say 2.6.0 alone.
    precise = Inventory(parts={"package": {"torch": torch}} if torch else {})
    return joined(precise, own, _of_identity(report), of_results(report, own.parts))


def _of_identity(report: Report) -> Inventory:
    """Machine and target as every report has them; "", 0 and None are what nobody could read, or what is not there."""
    machine, target = report.machine, report.target
    said: dict[str, Mapping[str, str | None]] = {
        "driver": {"driver": machine.driver, "CUDA": machine.cuda},
        "kernel": {"release": machine.kernel},
        "cpu": {
            "model": machine.cpu,
            "architecture": machine.arch,
            "memory": f"{machine.memory_bytes / 2**30:.3g} GiB" if machine.memory_bytes else "",
        },
        "toolchain": {"distribution": machine.os},
        "python": {
            "executable": target.python,
            "version": target.python_version,
            "torch CUDA": target.cuda,
        },
        "gpu": {name: text for gpu in machine.gpus for name, text in gpu_settings(gpu).items()},
    }
    parts = {kind: {name: value for name, value in values.items() if value} for kind, values in said.items()}
    return Inventory(parts={kind: values for kind, values in parts.items() if values})
