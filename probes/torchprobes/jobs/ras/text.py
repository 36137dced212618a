"""RAS's answer as text (NCCL 2.24 and later), as types. Pure.

The text names only what is odd: the status of a healthy communicator lists none of its ranks. A complaint's block
begins `#group-number (hash) KIND`; lines below it say of which rank it speaks, and a line about several ranks is
followed by one line a rank (src/ras/client_support.cc).
"""

from __future__ import annotations

import re
from typing import Final

from ...rank_evidence import Ras, RasCommunicator, RasRank
from .documents import BadAnswer

MOST_TEXT: Final = 16 << 10
_MOST_COMPLAINTS: Final = 64

_VERSION: Final = re.compile(r"^NCCL version (\S{1,32})")
_BLOCK: Final = re.compile(r"^#\d{1,6}-\d{1,6} \(([0-9a-f]{1,16})\) (\w{1,32})$")
_WHO: Final = (
    r"-- (?:GPU (?P<cuda>\d{1,4})(?: \(NVML (?P<nvml>\d{1,4})\))? managed by process (?P<pid>\d{1,10})"
    r" on node (?P<host>\S{1,64})|\[process information not found\])"
)
_RANK: Final = re.compile(rf"^  Rank (?P<rank>\d{{1,7}}) (?P<said>.{{0,120}}?) ?{_WHO}$")
_MANY: Final = re.compile(r"^  \d{1,7} ranks (?P<said>.{1,120})$")
_COUNTS: Final = re.compile(r"different (\w{1,32}) operation counts")
_LAUNCHED: Final = re.compile(r"^have launched up to operation (\d{1,18})$|^has launched up to operation (\d{1,18})$")
_GROUP_ROW: Final = re.compile(r"^ *\d+ +\d+ +\d+ +[\d-]+ +(\d+) +\d+ +([A-Z]+) +([A-Z,]+) *$")


class _Communicator:
    """One communicator while its blocks are read."""

    def __init__(self) -> None:
        self.ranks: dict[int, RasRank] = {}
        self.missing: list[int] = []
        self.complaints: list[str] = []


def parse_text(data: bytes, t_ns: int) -> Ras:
    """An answer in text.

    Raises:
        BadAnswer: it is none.
    """
    lines = data.decode("ascii", "replace").splitlines()
    version = next((found[1] for line in lines if (found := _VERSION.match(line))), "")
    if not version:
        raise BadAnswer("RAS's text names no NCCL version")
    reader = _Reader()
    for line in lines:
        reader.take(line)
    return Ras(
        t_ns=t_ns,
        how="text",
        nccl_version=version,
        communicators=reader.told(),
        text="\n".join(lines)[:MOST_TEXT],
    )


class _Reader:
    """Goes through the lines: which block they are in, and what was said of several ranks."""

    def __init__(self) -> None:
        self._found: dict[str, _Communicator] = {}
        self._sizes: list[int] = []
        self._odd: list[tuple[int, str]] = []
        self._hash = ""
        self._kind = ""
        self._op = ""
        self._said = ""

    def take(self, line: str) -> None:
        """One line."""
        if block := _BLOCK.match(line):
            self._hash, self._kind, self._op, self._said = block[1], block[2], "", ""
        elif not line.strip():
            self._op = self._said = ""
        elif row := _GROUP_ROW.match(line):
            self._sizes.append(int(row[1]))
            if row[3] != "OK":
                self._odd.append((int(row[1]), f"{row[3]}: of communicators of {row[1]} ranks in status {row[2]}"))
        elif self._hash and line.startswith("  "):
            self._complaint(line)

    def _complaint(self, line: str) -> None:
        here = self._found.setdefault(self._hash, _Communicator())
        if len(here.complaints) < _MOST_COMPLAINTS:
            here.complaints.append(f"{self._kind}: {line.strip()}")
        if counts := _COUNTS.search(line):
            self._op = counts[1]
        elif many := _MANY.match(line):
            self._said = many["said"]
        elif rank := _RANK.match(line):
            self._rank(here, rank)

    def _rank(self, here: _Communicator, found: re.Match[str]) -> None:
        number = int(found["rank"])
        before = here.ranks.get(number)
        counts = dict(before.counts) if before else {}
        said = found["said"] or self._said
        if self._op and (count := _count(said)) is not None:
            counts[self._op] = count
        here.ranks[number] = RasRank(
            rank=number,
            host=found["host"] or "",
            pid=int(found["pid"]) if found["pid"] else None,
            cuda_device=int(found["cuda"]) if found["cuda"] else None,
            nvml_device=int(found["nvml"] or found["cuda"]) if found["cuda"] else None,
            counts=counts,
            aborted="status ABORT" in said,
            finalized="status FINALIZE" in said,
        )
        if self._kind == "INCOMPLETE":
            here.missing.append(number)

    def told(self) -> tuple[RasCommunicator, ...]:
        """The communicators that were named; of those that were only counted, their sizes."""
        named = tuple(
            RasCommunicator(
                id=one,
                size=self._sizes[0] if len(self._sizes) == 1 else None,
                ranks=tuple(found.ranks[rank] for rank in sorted(found.ranks) if rank not in found.missing),
                missing=tuple(found.missing),
                complaints=tuple(found.complaints),
            )
            for one, found in self._found.items()
        )
        if named:
            return named
        odd = dict(self._odd)
        return tuple(
            RasCommunicator(id="", size=size, complaints=(odd[size],) if size in odd else ()) for size in self._sizes
        )


def _count(said: str) -> int | None:
    if "not launched any operations" in said:
        return 0
    found = _LAUNCHED.match(said)
    return int(found[1] or found[2]) if found else None
