"""The redactor: everything that it is given leaves it with the same stand-ins for the same names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from torchprobes.masking import MASK, is_secret, mask_text
from torchprobes.model import Difference, Fact, Report

from .homes import Homes
from .levels import Level
from .names import KINDS, Names
from .places import hosts_in, learn_from_text, learn_value
from .shapes import without_shapes
from .vocabulary import KEYS, VARIABLES, VERSIONED

_T = TypeVar("_T")
Visit = Callable[[str, str, str], str]
"""(text, its key, the key of what holds it) -> what stands for it."""

MOST_REMEMBERED: Final = 65536
"""Texts whose redacted form is kept: reports of one fleet say the same thing a thousand times."""

_LAST: Final = re.compile(r"[^. ]+$")
_QUAD: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)")
_VERSION_FACT: Final = re.compile(r"(?i)version|installed|package|driver|cudnn|nccl|toolkit|librar|wheel|torch|triton")


class Redactor:
    """Masks at one level. One redactor for all reports of a comparison: a host is the same `host-1` in all of them.

    What it learns in one place, it masks in every later one; give it the reports of a comparison at once
    (`reports`), or `learn` from them first, so that an earlier one does not name the host of a later one.
    """

    def __init__(self, level: Level | str = Level.PUBLIC, environ: Mapping[str, str] = os.environ) -> None:
        """`environ` says who asks: that person's name and home are masked wherever they stand."""
        self.level = Level(level)
        self._names = Names()
        self._homes = Homes(self._names)
        self._said: dict[str, str] = {}
        self._learnt: set[str] = set()
        self._grown = 0
        if self.level is Level.PUBLIC:
            for name, kind in VARIABLES.items():
                if kind in ("user", "home") and environ.get(name):
                    learn_value(kind, environ[name], self._names)

    # --- what it is given -----------------------------------------------------------------------------------------

    def report(self, report: Report) -> Report:
        """The report, redacted: every text in it, names and keys too; numbers, verdicts and tiers stay."""
        return self._redacted(report)

    def reports(self, reports: Iterable[Report]) -> tuple[Report, ...]:
        """Reports that are shown together: all are learnt from before the first is redacted."""
        held = tuple(reports)
        for report in held:
            self.learn(report)
        return tuple(self._redacted(report) for report in held)

    def document(self, document: Any) -> Any:
        """The same of a JSON document, or of anything made of structures, dicts, lists and texts."""
        return self._redacted(document)

    def text(self, text: str) -> str:
        """The same of one text."""
        return self._redacted(text)

    def learn(self, value: Any) -> None:
        """Learn the names in it without redacting it."""
        if self.level is Level.PUBLIC:
            mapped(value, self._learn)

    @property
    def masked(self) -> str:
        """What was masked so far, in words, and what stands for it."""
        counted = [_counted(count, KINDS[kind].one, KINDS[kind].many) for kind, count in self._names.counted()]
        if self._names.secrets:
            counted.append(_counted(self._names.secrets, "secret", "secrets"))
        if not counted:
            return f"{self.level.value}: masked nothing"
        examples = self._names.examples()
        stand = f"; {', '.join(examples)} … stand for them" if examples else f"; {MASK} stands for them"
        return f"{self.level.value}: masked {', '.join(counted)}{stand}"

    # --- how --------------------------------------------------------------------------------------------------------

    def _redacted(self, value: _T) -> _T:
        if self.level is Level.NONE:
            return value
        self.learn(value)
        if self._grown != self._names.grown:
            self._grown = self._names.grown
            self._said.clear()
        return mapped(value, self._instead)  # type: ignore[no-any-return]

    def _learn(self, text: str, key: str, holder: str) -> str:
        kind = _kind_of(key)
        if kind:
            learn_value(kind, text, self._names)
        if holder in VERSIONED or (key and _VERSION_FACT.search(key)):
            for match in _QUAD.finditer(text):
                self._names.learn_version(match[0])
        if text not in self._learnt and len(text) > 2:
            if len(self._learnt) >= MOST_REMEMBERED:
                self._learnt.clear()
            self._learnt.add(text)
            learn_from_text(text, self._names)
        return text

    def _instead(self, text: str, key: str, holder: str) -> str:
        if not text:
            return text
        if key and is_secret(_last(key), variable=holder == "variable" or _last(key).isupper()) and text != MASK:
            self._names.secrets += 1
            return MASK
        kind = _kind_of(key) if self.level is Level.PUBLIC else ""
        if kind and kind != "home":
            return self._whole(kind, text)
        said = self._said.get(text)
        if said is None:
            if len(self._said) >= MOST_REMEMBERED:
                self._said.clear()
            said = self._said[text] = self._without(text)
        return said

    def _whole(self, kind: str, text: str) -> str:
        """The value of a key that says what it is, whole. What has a shape is masked by it; root is nobody."""
        shaped = self._without(text)
        if shaped != text or text.isdigit() or text.lower() in ("root", "localhost", "127.0.0.1"):
            return shaped
        if kind != "host":
            return self._names.stand_in(kind, text)
        hosts = dict.fromkeys(hosts_in(text))
        return ",".join(self._names.stand_in("host", host) for host in hosts if host) or text

    def _without(self, text: str) -> str:
        masked = mask_text(text)
        self._names.secrets += max(0, masked.count(MASK) - text.count(MASK))
        if self.level is not Level.PUBLIC:
            return masked
        return self._names.without(self._homes.without(without_shapes(masked, self._names)))


def mapped(value: Any, visit: Visit, key: str = "", holder: str = "") -> Any:
    """The same value with every text in it visited; what nothing was changed in is returned as it is."""
    if type(value) is str:
        return visit(value, key, holder)
    if isinstance(value, msgspec.Struct):
        return _struct(value, visit)
    if type(value) is dict:
        return _dict(value, visit, key)
    if type(value) in (list, tuple):
        return type(value)(mapped(each, visit, key, holder) for each in value)
    return value


def _struct(value: msgspec.Struct, visit: Visit) -> msgspec.Struct:
    names = _keys_of(value)
    changed = {}
    for field in value.__struct_fields__:
        before = getattr(value, field)
        after = mapped(before, visit, names.get(field, field))
        if after is not before:
            changed[field] = after
    return msgspec.structs.replace(value, **changed) if changed else value


def _keys_of(value: msgspec.Struct) -> dict[str, str]:
    """Whose value a field is, where the structure says so: of a fact, by its name."""
    if isinstance(value, Fact):
        return {"value": value.name}
    if isinstance(value, Difference):
        return {"here": value.what, "there": value.what}
    return {}


def _dict(value: dict[Any, Any], visit: Visit, key: str) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for name, each in value.items():
        after = visit(name, "", key) if type(name) is str else name
        while after in found:  # two homes may become one name
            after = f"{after} (2)"
        found[after] = mapped(each, visit, str(name), key)
    return found


def _last(key: str) -> str:
    match = _LAST.search(key)
    return match[0] if match else key


def _kind_of(key: str) -> str:
    if not key:
        return ""
    last = _last(key)
    return VARIABLES.get(last) or KEYS.get(last.lower(), "")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
