"""Names that a report gives to people, machines and devices, and what stands for each: the same one everywhere."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

from .vocabulary import ORDINARY


class Kind(NamedTuple):
    """One kind of what is masked."""

    instead: str
    """What stands for the n-th of it."""
    one: str
    many: str


KINDS: Final[dict[str, Kind]] = {
    "host": Kind("host-{}", "host", "hosts"),
    "user": Kind("user-{}", "user", "users"),
    "ip": Kind("ip-{}", "address", "addresses"),
    "mac": Kind("mac-{}", "hardware address", "hardware addresses"),
    "email": Kind("email-{}", "e-mail address", "e-mail addresses"),
    "uuid": Kind("uuid-{}", "UUID", "UUIDs"),
    "serial": Kind("serial-{}", "serial number", "serial numbers"),
    "pci": Kind("pci-{}", "bus id", "bus ids"),
    "container": Kind("container-{}", "container", "containers"),
    "path": Kind("path-{}", "path", "paths"),
}

STANDS_FOR: Final = re.compile(
    r"(?:(?:GPU-|MIG-)*uuid|host|user|ip|mac|email|serial|pci|container|path)-\d{1,9}(?:\.\w{1,8})?"
)
"""What was masked before, and stays as it is."""

RUN: Final = re.compile(r"[^\W_]+")
"""A run of letters and digits: what a name begins with, and what cannot stand beside it."""


MOST_SECRETS: Final = 512
"""That are sought in every text."""

_FEW: Final = 32
"""So many words are sought one after the other faster than a text is cut into its own."""


class Names:
    """What is known so far. A number is given when a name is first replaced, not when it is learnt."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        self._first: dict[str, list[str]] = {}
        self._stands: dict[tuple[str, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self.homes: dict[str, None] = {}
        self.versions: set[str] = set()
        self._secrets: dict[int, int] = {}
        self._literals: dict[str, None] = {}
        self.grown = 0

    def learn(self, kind: str, name: str, same_as: str = "") -> None:
        """From now on `name` is one of `kind` wherever it stands; `same_as` is the name that it is short for.

        An ordinary word identifies nobody, and masking it would mask the report: it is masked only where its place
        says what it is.
        """
        low = name.lower()
        first = RUN.search(low)
        ordinary = (
            low in ORDINARY or not 1 < len(low) < 256 or low.replace(".", "").isdigit() or STANDS_FOR.fullmatch(name)
        )
        if first is None or ordinary or low in self._known:
            return
        if kind == "host" and not same_as:
            same_as = self._short_of(low)
        self._known[low] = (kind, (same_as or name).lower())
        self._first.setdefault(first[0], []).append(low)
        self._first[first[0]].sort(key=len, reverse=True)
        self.grown += 1

    def _short_of(self, low: str) -> str:
        """The first label of a host's whole name, by which it is called, too; "" if that is an ordinary word."""
        short, dot, _ = low.partition(".")
        if dot and (short in self._known or re.search(r"[\d-]", short)):
            self.learn("host", short)
            return short if short in self._known else ""
        return ""

    def knows(self, name: str) -> bool:
        """Whether a name was learnt."""
        return name.lower() in self._known

    def whole(self, kind: str, beginning: str) -> str:
        """The one name of this kind that begins so, "" if there is none or more than one."""
        found = {name for name, (of, _) in self._known.items() if of == kind and name.startswith(beginning.lower())}
        return found.pop() if len(found) == 1 else ""

    def learn_home(self, path: str) -> None:
        """A directory that is somebody's, wherever it stands; its last part is that person's name."""
        path = path.rstrip("/")
        if path.count("/") > 1 and path not in self.homes:
            self.homes[path] = None
            self.grown += 1
            self.learn("user", path.rpartition("/")[2])

    def stand_in(self, kind: str, name: str) -> str:
        """What stands for a name of this kind."""
        if STANDS_FOR.fullmatch(name):
            return name
        known = self._known.get(name.lower())
        key = known if known else (kind, name.lower())
        if key not in self._stands:
            self._numbers[key[0]] += 1
            self._stands[key] = KINDS[key[0]].instead.format(self._numbers[key[0]])
        return self._stands[key]

    def learn_secret(self, text: str) -> None:
        """A secret that its name gave away is one wherever it stands; one that may be a word (`disabled`) is not."""
        telling = len(text) > 15 or (len(text) > 7 and not text.isalpha() and not text.isdigit())
        if telling and "***" not in text and len(self._literals) < MOST_SECRETS and text not in self._literals:
            self._literals[text] = None
            self.grown += 1

    def without_secrets(self, text: str) -> str:
        """The text without those that were learnt."""
        for literal in self._literals:
            if literal in text:
                text = text.replace(literal, "***")
        return text

    def secret(self, text: str, count: int = 1) -> None:
        """So many secrets were masked in this text; the same text is counted once."""
        if count > 0:
            self._secrets[hash(text)] = count

    @property
    def secrets(self) -> int:
        """How many were masked."""
        return sum(self._secrets.values())

    def without(self, text: str) -> str:
        """The text without any name that is known, whatever stands around it."""
        low = text.lower()
        if len(low) != len(text):  # a letter whose small form is longer: places would not agree
            text = low
        if len(self._first) <= _FEW and not any(map(low.__contains__, self._first)):
            return text
        found = self._first.keys() & set(RUN.findall(low))
        if not found:
            return text
        pieces, done = [], 0
        for match in RUN.finditer(low):
            name = self._name_at(low, match) if match[0] in found and match.start() >= done else ""
            if name:
                pieces += [text[done : match.start()], self.stand_in("", name)]
                done = match.start() + len(name)
        return "".join(pieces) + text[done:]

    def _name_at(self, low: str, match: re.Match[str]) -> str:
        """The longest name that begins here and ends at the end of a run, "" if there is none."""
        for name in self._first[match[0]]:
            end = match.start() + len(name)
            if low.startswith(name, match.start()) and not low[end : end + 1].isalnum():
                return name
        return ""

    @property
    def masked(self) -> bool:
        """Whether anything was."""
        return bool(self._stands or self._secrets)

    def counted(self) -> tuple[tuple[str, int], ...]:
        """How many of each kind were masked, in the order of `KINDS`."""
        return tuple((kind, self._numbers[kind]) for kind in KINDS if self._numbers[kind])

    def examples(self, most: int = 3) -> tuple[str, ...]:
        """Some of what stands for names, one a kind."""
        by_kind = {kind: text for (kind, _), text in reversed(self._stands.items())}
        return tuple(by_kind[kind] for kind in KINDS if kind in by_kind)[:most]
