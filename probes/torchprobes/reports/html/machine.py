"""The machine and the target of a report: what it is, its GPUs, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchprobes.model import Inventory, Report
from torchprobes.quantity import quantity

from .. import digest, inventory
from .elements import Markup, el, join
from .tables import folded, mono, pairs, section, table

_MOST = 2_000
"""Rows of one kind: an image has hundreds of packages, a hostile file millions of names."""


def machine(report: Report) -> Markup:
    """Who and what was looked at."""
    made_of = inventory.of(report)
    return section(
        "The machine",
        pairs([("host", report.machine.host or "not known"), *digest.identity(report), *_more(report)]),
        _gpus(report.machine.gpus),
        _inventory(made_of),
    )


def _more(report: Report) -> list[tuple[str, str]]:
    machine = report.machine
    memory = quantity(float(machine.memory_bytes), "B") if machine.memory_bytes else "not read"
    return [("memory", memory), ("kernel", machine.kernel or "not read"), ("boot", machine.boot_id or "not read")]


def _gpus(gpus: tuple[dict[str, Any], ...]) -> Markup | None:
    if not gpus:
        return None
    names = list(dict.fromkeys(name for gpu in gpus for name in gpu))
    rows = ([_cell(name, gpu.get(name)) for name in names] for gpu in gpus)
    return join(el("h3", "GPUs"), table([(_words(name), "") for name in names], rows))


_UNITS = {"_bytes": "B", "_w": "W", "_mhz": "MHz", "_c": "°C"}


def _words(name: str) -> str:
    unit = next((unit for unit in _UNITS if name.endswith(unit)), "")
    return name.removesuffix(unit).replace("_", " ")


def _cell(name: str, value: object) -> str:
    """A cell of a GPU's row: a number in its unit, or why there is none."""
    if value is None:
        return "not read"
    if isinstance(value, Mapping):
        return ": ".join(str(value[key]) for key in ("state", "why") if value.get(key)) or "not read"
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
    return quantity(value, unit) if unit and isinstance(value, (int, float)) else str(value)


def _inventory(made_of: Inventory) -> Markup:
    kinds = [kind for kind in inventory.KINDS if kind in made_of.parts]
    kinds += [kind for kind in made_of.parts if kind not in inventory.KINDS]
    unread = digest.unread(made_of)
    return join(
        el("h3", "Inventory"),
        (_kind(kind, made_of.parts[kind]) for kind in kinds),
        folded(f"Not read: {len(unread)}", pairs(unread)) if unread else None,
    )


def _kind(kind: str, parts: Mapping[str, str]) -> Markup:
    words = inventory.KINDS[kind].words if kind in inventory.KINDS else kind
    rows = [(mono(name), parts[name]) for name in sorted(parts)[:_MOST]]
    more = f", of which {_MOST:,} are shown" if len(parts) > _MOST else ""
    return folded(f"{words} ({len(parts):,}{more})", table((("name", "term"), ("value", "value")), rows))
