"""The merged logs of one run for one screen: pages of them, held still while somebody reads, and searched.

Only the newest lines are kept (`merged_log.KEPT`), so a place in them means something only while they are held.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from ..rundir import RunDir
from .merged_log import KEPT, MergedLine, of_run

MOST_LINES: Final = 1000
FIRST_S: Final = 1.0
"""How long the first page waits for the logs to be read."""


class LogReader:
    """The merged logs of a run, followed until it is closed."""

    def __init__(self, run: Path) -> None:
        self._log = of_run(RunDir(run))
        self._held: tuple[MergedLine, ...] | None = None
        self._of: frozenset[int] | None = None
        self._seen = 0

    def page(self, first: int, count: int, ranks: Collection[int] | None, *, hold: bool) -> dict[str, Any]:
        """Lines from place `first` on (negative: from the end), of these ranks or all.

        While `hold` is asked for the places stay; `new` says that there are lines that are not shown.
        """
        self._log.settled.wait(FIRST_S)
        wanted = frozenset(ranks) if ranks is not None else None
        self._settle(wanted, hold)
        count = max(0, min(count, MOST_LINES))
        if self._held is None:
            page = self._log.page(first, count, wanted)
            begin, total, lines = page.first, page.total, page.lines
        else:
            total = len(self._held)
            begin = max(0, total + first if first < 0 else min(first, total))
            lines = self._held[begin : begin + count]
        return {
            "first": begin, "total": total, "lines": [list(line) for line in lines], "skipped": self._log.skipped,
            "new": self._held is not None and self._log.revision != self._seen, "cause": self._log.cause,
        }  # fmt: skip

    def find(self, text: str, at: int, by: int, ranks: Collection[int] | None) -> int:
        """The place of the next line that holds `text` after `at` (before it where `by` is negative), -1 if none does.

        The lines are held from now on. Capitals matter where `text` has some; the search goes around the end.
        """
        self._settle(frozenset(ranks) if ranks is not None else None, hold=True)
        return find(self._held or (), text, at, by)

    def close(self) -> None:
        """Let go of the files."""
        self._log.close()

    def _settle(self, ranks: frozenset[int] | None, hold: bool) -> None:
        """Hold the lines of these ranks, or let go of them."""
        if not hold:
            self._held = None
        elif self._held is None or ranks != self._of:
            self._seen = self._log.revision
            self._held, self._of = self._log.page(0, KEPT, ranks).lines, ranks


def find(lines: Sequence[MergedLine], text: str, at: int, by: int) -> int:
    """The place of the next line that holds `text`, -1 if none does."""
    if not text or not lines:
        return -1
    looked = re.compile(re.escape(text), re.IGNORECASE if text == text.lower() else 0)
    step = 1 if by >= 0 else -1
    for distance in range(1, len(lines) + 1):
        place = (at + step * distance) % len(lines)
        if looked.search(lines[place].text):
            return place
    return -1
