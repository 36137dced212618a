"""Versions of the files that torchdoctor writes: what an earlier one lacks is filled in when it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

FIRST: Final = 1

Document = dict[str, Any]


def newest(kind: type[Any]) -> int:
    """The schema of this kind of file that this program writes: the default of its field `schema`, else FIRST."""
    if kind not in _NEWEST:  # msgspec evaluates every annotation for it, which a thousand reports would pay for
        fields = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else ()
        found = next((field for field in fields if field.name == "schema"), None)
        _NEWEST[kind] = found.default if found is not None and isinstance(found.default, int) else FIRST
    return _NEWEST[kind]


_NEWEST: Final[dict[type[Any], int]] = {}


def migrated(document: Document, kind: type[Any], schema: int) -> Document:
    """A document of an earlier schema as one of the newest, step by step; it is changed in place."""
    for step in range(schema, newest(kind)):
        for upgrade in _UPGRADES.get(step, ()):
            upgrade(document)
    document["schema"] = newest(kind)
    return document


def _no_inventory(document: Document) -> None:
    """1 -> 2: a machine has an inventory. One that was not taken is no inventory without anything in it."""
    machine = document.get("machine")
    if isinstance(machine, dict):
        machine["inventory"] = {"parts": {}, "unread": {"": "made by a torchdoctor that took no inventory"}}


_UPGRADES: Final[dict[int, tuple[Callable[[Document], None], ...]]] = {1: (_no_inventory,)}
"""What a document of a schema needs to be of the next one."""
