"""The launcher of the ranks as its watcher knows it: whether it lives, what it said, who asked for the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from ...rank_evidence import AgentEvidence, Exit, Sign
from ..control import records
from ..node import NodeFolder
from .edges import of_code

MOST_SIGNS: Final = 200
MOST_RECORDS_BYTES: Final = 16 << 20


class Agent:
    """`pid` and `start_ticks` are None where the launcher is not known."""

    def __init__(self, pid: int | None, start_ticks: int | None) -> None:
        self.pid, self.start_ticks = pid, start_ticks
        self.exit: Exit | None = None
        self.signs: list[Sign] = []
        self.closing_ns = 0
        self.stop_asked_ns = 0
        self.asked: dict[int, str] = {}
        """pid -> the signal by which it was told to end."""
        self.codes: dict[int, int] = {}
        """pid -> the exit code that the launcher reaped, as Python has it."""
        self.local_ranks: dict[int, int] = {}

    @property
    def alive(self) -> bool | None:
        """None where it is not known."""
        return None if self.key is None else self.exit is None

    @property
    def key(self) -> tuple[int, int] | None:
        """Pid and start time."""
        return None if self.pid is None or self.start_ticks is None else (self.pid, self.start_ticks)

    def take(self, signs: Iterable[Sign]) -> None:
        """What it said, line by line."""
        for sign in signs:
            if len(self.signs) < MOST_SIGNS:
                self.signs.append(sign)
            pid = _integer(sign.details.get("pid"))
            if pid is None:
                continue
            if sign.id == "agent-closing":
                self.asked[pid] = sign.details.get("signal", "SIGTERM")
                self.closing_ns = self.closing_ns or sign.t_ns or time.time_ns()
            code, local = _integer(sign.details.get("exitcode")), _integer(sign.details.get("local_rank"))
            if sign.id == "agent-failed" and code is not None:
                self.codes[pid] = code
                if local is not None:
                    self.local_ranks[pid] = local

    def completed(self, end: Exit, pid: int) -> Exit:
        """The end of a rank with what the launcher said of it: that it asked for it, the code where nobody saw it."""
        if end.seen == "gone" and pid in self.codes:
            end = of_code(self.codes[pid], end)
        if not end.asked and pid in self.asked:
            end = msgspec.structs.replace(end, asked=self.asked[pid])
        return end

    def new_attempt(self) -> None:
        """It starts all ranks anew: what it said of ending those before is over."""
        self.closing_ns = 0

    def evidence(self) -> AgentEvidence:
        """As evidence."""
        return AgentEvidence(
            pid=self.pid,
            alive=self.alive,
            exit=self.exit,
            signs=tuple(self.signs),
            closing_ns=self.closing_ns,
            stop_asked_ns=self.stop_asked_ns,
        )


class Supervision:
    """What the supervisor's records say: whether a person asked for the end, and whether it came."""

    def __init__(self, node: NodeFolder) -> None:
        self._node = node
        self._size = -1
        self.stop_asked_ns = 0
        self.ended = False

    def look(self) -> bool:
        """Read the records if there are new ones; whether there were."""
        try:
            size = os.stat(self._node.supervisor).st_size
        except OSError:
            return False
        if size == self._size or size > MOST_RECORDS_BYTES:
            return False
        self._size = size
        for record in records(self._node):
            when = record.get("t_ns")
            if record.get("ev") == "stop" and isinstance(when, int):
                self.stop_asked_ns = self.stop_asked_ns or when
            self.ended = self.ended or record.get("ev") == "end"
        return True


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() and text.isascii() and len(text) < 12 else None
