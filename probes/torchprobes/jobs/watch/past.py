"""What a watcher that died had seen: its successor begins with that, from the records of `watch.jsonl`."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from ...distributed import RankIdentity
from ...rank_evidence import Exit
from ...rundir import boot_id
from ..node import NodeFolder
from .keeping import MOST_WATCH_BYTES

MOST_RANKS: Final = 1 << 16


class Past:
    """Ranks, ends by pid and start time, and how often somebody watched before, on this boot."""

    def __init__(self, node: NodeFolder) -> None:
        self.ranks: list[RankIdentity] = []
        self.exits: dict[tuple[int, int], Exit] = {}
        self.watchers = 0
        self._now = False
        for record in _records(node):
            self._take(record)

    def _take(self, record: dict[str, Any]) -> None:
        """One record; what cannot be read is passed over, and what was on another boot is nobody's now."""
        ev = record.get("ev")
        try:
            if ev == "start":
                self._now = record.get("boot_id") == boot_id()
                self.watchers += self._now
            elif not self._now:
                return
            elif ev == "rank" and len(self.ranks) < MOST_RANKS:
                self.ranks.append(msgspec.convert(record, RankIdentity))
            elif ev == "exit":
                self.exits[int(record["pid"]), int(record["start_ticks"])] = msgspec.convert(record["exit"], Exit)
        except (msgspec.ValidationError, KeyError, TypeError, ValueError):
            return


def _records(node: NodeFolder) -> list[dict[str, Any]]:
    try:
        with node.watch.open("rb") as file:
            lines = file.read(MOST_WATCH_BYTES).splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            found.append(record)
    return found
