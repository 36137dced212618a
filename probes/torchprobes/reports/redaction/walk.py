"""Every text in a value made of structures, dicts, lists and texts, visited with what says whose it is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import msgspec

from torchprobes.model import Difference, Fact

Visit = Callable[[str, str, str], str]
"""(text, its key, the key of the dict that holds it) -> what stands for it."""

_NAMED_BY: Final[dict[type[msgspec.Struct], dict[str, str]]] = {
    Fact: {"value": "name"},
    Difference: {"here": "what", "there": "what"},
}
"""Fields whose key is not their own name, but what another field says."""

_PLAIN: Final = frozenset(
    {"int", "float", "bool", "Verdict", "Severity", "Scope", "Tier", "int | None", "float | None"}
)
"""Types of fields that hold no text; the words of an enumeration are ours."""


def mapped(value: Any, visit: Visit, key: str = "", holder: str = "") -> Any:
    """The same value with every text replaced by what the visit returns; keys of dicts are texts, too.

    What nothing was changed in is returned as it is. A value in a sequence has the sequence's key, but one that follows
    an option (`--token`, then its value) has the option's.
    """
    kind = type(value)
    if kind is str:
        return visit(value, key, holder)
    if kind is dict:
        return _dict(value, visit, key)
    if kind is list or kind is tuple:
        return _sequence(value, visit, key, holder)
    if isinstance(value, msgspec.Struct):
        return _struct(value, visit)
    return value


def _struct(value: msgspec.Struct, visit: Visit) -> msgspec.Struct:
    changed = {}
    for field, named_by in _fields(type(value)):
        before = getattr(value, field)
        if before is None or before == "" or before == ():
            continue
        key = str(getattr(value, named_by)) if named_by else field
        after = visit(before, key, "") if type(before) is str else mapped(before, visit, key)
        if after is not before:
            changed[field] = after
    return msgspec.structs.replace(value, **changed) if changed else value


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """The fields that may hold text, and the field that names each, "" for those that their own name names."""
    named_by = _NAMED_BY.get(kind, {})
    types = {name: str(hint) for base in reversed(kind.__mro__) for name, hint in _annotations(base).items()}
    return tuple((name, named_by.get(name, "")) for name in kind.__struct_fields__ if types.get(name) not in _PLAIN)


def _annotations(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = vars(kind).get("__annotations__", {})
    return {name: getattr(hint, "__name__", hint) for name, hint in found.items()}


def _sequence(value: Any, visit: Visit, key: str, holder: str) -> Any:
    made, same, option = [], True, ""
    for before in value:
        after = mapped(before, visit, option or key, holder)
        same = same and after is before
        made.append(after)
        option = before if type(before) is str and before.startswith("--") and "=" not in before else ""
    return value if same else type(value)(made)


def _dict(value: dict[Any, Any], visit: Visit, key: str) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    same = True
    for name, before in value.items():
        after_name = visit(name, "", key) if type(name) is str else name
        while after_name in made:  # two homes may have become one name
            after_name = f"{after_name} (2)"
        after = made[after_name] = mapped(before, visit, str(name), key)
        same = same and after is before and after_name is name
    return value if same else made
