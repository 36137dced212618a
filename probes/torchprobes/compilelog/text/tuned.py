"""AUTOTUNE tables: what max-autotune has timed. torch writes them to stderr without any prefix.

torch/_inductor/select_algorithm.py, AlgorithmSelectorCache.log_results:
    AUTOTUNE addmm(128x512, 128x256, 256x512)
    strides: ...
    dtypes: ...
      triton_mm_2 0.0076 ms 100.0% ACC_TYPE=...
    SingleProcess AUTOTUNE benchmarking takes 0.1904 seconds and 3.2877 seconds precompiling for 20 choices
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..events import Autotuned, Source

TABLE = re.compile(r"AUTOTUNE (\w{1,200})\((.{0,2000})\)\s*$")
_BETWEEN = re.compile(r"(?:strides|dtypes): ")
_CHOICE = re.compile(r"  (\S{1,300}) (?:([\d.]+|inf|nan) ms|failed).*")
_TOOK = re.compile(
    r"(?:SingleProcess|SubProcess)? ?AUTOTUNE (?:benchmarking )?takes ([\d.]+) seconds(?: and ([\d.]+) sec)?"
)
_CHOICES = 1_000


@dataclass(slots=True)
class Table:
    """A table that is being read."""

    source: Source
    op: str
    arguments: str
    choices: list[tuple[str, float]] = field(default_factory=list)
    seconds: float | None = None
    ended: bool = False

    def takes(self, line: str) -> bool:
        """Whether `line` is of the table; one that is not ends it."""
        if took := _TOOK.match(line):
            self.seconds = float(took[1]) + float(took[2] or 0)
            self.ended = True
            return True
        if choice := _CHOICE.match(line):
            if len(self.choices) < _CHOICES:
                self.choices.append((choice[1], _milliseconds(choice[2])))
            return True
        self.ended = not _BETWEEN.match(line)
        return not self.ended

    def event(self) -> Autotuned:
        """What the table says."""
        choices = tuple(sorted(self.choices, key=lambda choice: choice[1]))
        return Autotuned(self.source, self.op, self.arguments, choices, self.seconds)


def table(line: str, source: Source) -> Table | None:
    """The table that begins with `line`, if one does."""
    match = TABLE.match(line)
    return Table(source, match[1], match[2]) if match else None


def _milliseconds(text: str | None) -> float:
    try:
        return float(text) if text and text != "nan" else float("inf")
    except ValueError:
        return float("inf")
