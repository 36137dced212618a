"""The redactor: everything that it is given leaves it with the same stand-ins for the same names."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from torchprobes.masking import MASK, is_secret, mask_text
from torchprobes.model import Report

from .homes import Homes
from .levels import Level
from .names import KINDS, Names
from .places import hosts_in, learn_from_text, learn_value
from .shapes import without_shapes
from .vocabulary import KEYS, VARIABLES, VERSIONED
from .walk import mapped

_T = TypeVar("_T")

MOST_REMEMBERED: Final = 65536
"""Texts that are remembered, with what became of them: reports of one fleet say the same thing a thousand times."""

_SHORTEST: Final = 16
"""A word of letters and digits has none of the shapes unless it is as long as this."""

_MASKED: Final = (f"{Level.INTERNAL.value}: ", f"{Level.PUBLIC.value}: ")
"""How the words of a redaction begin that left no secret."""

_LAST: Final = re.compile(r"[^. ]+$")
_VERSION: Final = re.compile(r"^(?:[\w.-]{1,64}(?:==| |=))?v?(\d{1,3}(?:\.\d{1,3}){3})(?=$|[-+ (,])")
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
        self._said: dict[tuple[str, str, str], str] = {}
        self._shaped: dict[str, str] = {}
        self._learnt: set[tuple[str, str, str]] = set()
        self._new: list[str] = []
        self._grown = 0
        if self.level is Level.PUBLIC:
            for name, kind in VARIABLES.items():
                if kind in ("user", "home") and environ.get(name):
                    learn_value(kind, environ[name], self._names)

    # --- what it is given -----------------------------------------------------------------------------------------

    def report(self, report: Report) -> Report:
        """The report, redacted: every text in it, names and keys too; numbers, verdicts and tiers stay."""
        return report if self._is_masked(report) else self._noted(self._redacted(report))

    def reports(self, reports: Iterable[Report]) -> tuple[Report, ...]:
        """Reports that are shown together: all are learnt from before the first is redacted."""
        held = tuple(reports)
        open_ = [report for report in held if not self._is_masked(report)]
        for report in open_:
            self.learn(report)
        made = iter([self._noted(self._replaced(report)) for report in open_])
        return tuple(report if self._is_masked(report) else next(made) for report in held)

    def _is_masked(self, report: Report) -> bool:
        """Whether it says that it left its node with its secrets masked: a thousand are not looked through once more.

        One that says so and has secrets all the same was changed by hand, and they are that hand's.
        """
        return self.level is Level.INTERNAL and report.redaction.startswith(_MASKED)

    def _noted(self, report: Report) -> Report:
        """The report, saying what was masked in it; what it said of an earlier redaction stays."""
        said, before = self.masked, report.redaction
        if self.level is Level.NONE or said == before or (before and not self._names.masked):
            return report
        return msgspec.structs.replace(report, redaction=f"{said}; before that {before}" if before else said)

    def document(self, document: Any) -> Any:
        """The same of a JSON document, or of anything made of structures, dicts, lists and texts."""
        return self._redacted(document)

    def text(self, text: str) -> str:
        """The same of one text."""
        return self._redacted(text)

    def learn(self, value: Any) -> None:
        """Learn the names and the secrets in it without redacting it.

        First what its keys and places name, then what has a shape: a version, or the short name of a host, is known by
        then, wherever it stands.
        """
        if self.level is Level.PUBLIC:
            mapped(value, self._learn)
            new, self._new = self._new, []
            for text in new:
                self._shape(text)
        elif self.level is Level.INTERNAL:
            for key, text in secrets_of(value):
                self._learn_secret(text, key, "variable")

    @property
    def masked(self) -> str:
        """What was masked so far, in words, and what stands for it."""
        if self.level is Level.NONE:
            return "none: nothing is masked"
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
        self.learn(value)
        return self._replaced(value)

    def _replaced(self, value: _T) -> _T:
        if self.level is Level.NONE:
            return value
        if self._grown != self._names.grown:
            self._grown = self._names.grown
            self._said.clear()
        made: _T = mapped(value, self._instead)
        return made

    def _learn(self, text: str, key: str, holder: str) -> str:
        seen = (text, key, holder)
        if seen not in self._learnt:
            if len(self._learnt) >= MOST_REMEMBERED:
                self._learnt.clear()
            self._learnt.add(seen)
            self._learn_secret(text, key, holder)
            kind = _kind_of(key)
            if kind:
                learn_value(kind, text, self._names)
            if holder in VERSIONED or _VERSION_FACT.search(key):
                self._names.versions.update(_VERSION.findall(text))
            if len(text) > 2:
                learn_from_text(text, self._names)
                self._new.append(text)
        return text

    def _learn_secret(self, text: str, key: str, holder: str) -> None:
        if key and _secret(key, holder):
            self._names.learn_secret(text)

    def _instead(self, text: str, key: str, holder: str) -> str:
        seen = (text, key, holder)
        said = self._said.get(seen)
        if said is None:
            if len(self._said) >= MOST_REMEMBERED:
                self._said.clear()
            said = self._said[seen] = self._made(text, key, holder)
        return said

    def _made(self, text: str, key: str, holder: str) -> str:
        if not text:
            return text
        if key and _secret(key, holder) and text != MASK:
            self._names.secret(text)
            return MASK
        kind = _kind_of(key) if self.level is Level.PUBLIC else ""
        return self._whole(kind, text) if kind and kind != "home" else self._without(text)

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
        if self.level is not Level.PUBLIC:
            return self._unsecret(text)
        return self._names.without(self._homes.without(self._shape(text)))

    def _shape(self, text: str) -> str:
        """The text without secrets and what has a shape."""
        if text.isalnum() and len(text) < _SHORTEST:
            return text
        shaped = self._shaped.get(text)
        if shaped is None:
            if len(self._shaped) >= MOST_REMEMBERED:
                self._shaped.clear()
            shaped = self._shaped[text] = without_shapes(self._unsecret(text), self._names)
        return shaped

    def _unsecret(self, text: str) -> str:
        masked = mask_text(self._names.without_secrets(text))
        if masked != text:
            self._names.secret(text, masked.count(MASK) - text.count(MASK))
        return masked


def secrets_of(value: Any) -> Iterator[tuple[str, str]]:
    """(name, value) of what a report keeps by name: variables and facts; of anything else, of every key."""
    if isinstance(value, Report):
        yield from value.machine.inventory.parts.get("variable", {}).items()
        yield from ((f.name, f.value) for r in value.results for f in r.facts if isinstance(f.value, str))
        return
    found: list[tuple[str, str]] = []

    def note(text: str, key: str, _: str) -> str:
        found.append((key, text))
        return text

    mapped(value, note)
    yield from found


@functools.lru_cache(4096)
def _last(key: str) -> str:
    """The last part of a name: `HF_TOKEN` of `env.HF_TOKEN`."""
    match = _LAST.search(key)
    return match[0] if match else key


@functools.lru_cache(4096)
def _secret(key: str, holder: str) -> bool:
    """Whether a value with this key is a secret; more keys say so of a variable."""
    last = _last(key)
    return is_secret(last, variable=holder == "variable" or last.isupper())


@functools.lru_cache(4096)
def _kind_of(key: str) -> str:
    """What a value with this key is, "" where it may be anything."""
    last = _last(key)
    return VARIABLES.get(last) or KEYS.get(last.lower(), "")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
