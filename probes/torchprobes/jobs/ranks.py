"""The ranks of a run, read from their event files as they grow: one row a rank, for the Jobs pane and for reports.

Files are followed by offset, so that a poll costs what is new. What is not an event is counted and passed over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..distributed import JobVerdict, JobView, RankView
from ..model import Event, Figure, Frozen
from ..runner import processes
from ..runner.events import EventTail

MOST_ROWS = 4096
MOST_RANKS = 10**6
MOST_FIGURES = 256

STATES = ("starting", "importing", "initialising", "reducing", "stepping", "ended", "failed")


class RankRow(Frozen, frozen=True, kw_only=True):
    """One rank as its events tell it. Ages are seconds, `collective_us` is the last one's time in µs.

    `state` is one of STATES: a rank whose process is gone without having said its end has failed. `why` says in
    words what made it fail or where it hung.
    """

    rank: int
    pid: int
    attempt: int = 0
    host: str = ""
    device: str = ""
    state: str = "starting"
    phase: str = ""
    why: str = ""
    steps: int = 0
    collective: str = ""
    collective_us: float | None = None
    memory_bytes: float | None = None
    last_event_ns: int = 0
    last_event_age_s: float | None = None
    figures: tuple[Figure, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing more will come from it."""
        return self.state in ("ended", "failed")


class RankTable(Frozen, frozen=True, kw_only=True):
    """All ranks of the newest attempt, by rank; `revision` grows when something changed."""

    revision: int = 0
    rows: tuple[RankRow, ...] = ()
    broken_lines: int = 0


Fold = Callable[[RankRow, Event], RankRow]


def _replace(row: RankRow, **fields: object) -> RankRow:
    return msgspec.structs.replace(row, **fields)


def _init(row: RankRow, event: Event) -> RankRow:
    device = str(event.value) if event.name == "device" else row.device
    return _replace(row, state="initialising", device=device)


def _coll(row: RankRow, event: Event) -> RankRow:
    return _replace(row, state="reducing", collective=event.name, collective_us=_number(event))


def _step(row: RankRow, event: Event) -> RankRow:
    return _replace(row, state="stepping", steps=event.n)


def _mem(row: RankRow, event: Event) -> RankRow:
    return _replace(row, memory_bytes=_number(event))


def _beat(row: RankRow, event: Event) -> RankRow:
    state = "importing" if row.state == "starting" else row.state
    return _replace(row, phase=event.name or row.phase, state=state)


def _start(row: RankRow, event: Event) -> RankRow:
    return _replace(row, state="initialising")


def _fact(row: RankRow, event: Event) -> RankRow:
    """What a rank says went wrong: `ddp.failed.*`, `ddp.hung.*`, and the words of what was raised."""
    words = {"ddp.failed.": "{0} failed", "ddp.hung.": "{0} hung"}
    text = next((w.format(event.value) for start, w in words.items() if event.name.startswith(start)), "")
    if event.name.startswith("ddp.raised.") and event.name.endswith(".message"):
        text = f"{row.why}: {event.value}".lstrip(": ")
    return _replace(row, why=text) if text else row


def _figure(row: RankRow, event: Event) -> RankRow:
    value = _number(event)
    if value is None:
        return row
    figure = Figure(name=event.name, value=value, unit=event.unit, n=event.n, spread=event.spread, labels=event.labels)
    kept = tuple(f for f in row.figures if (f.name, f.labels) != (figure.name, figure.labels))
    return _replace(row, figures=(*kept, figure)[-MOST_FIGURES:])


def _end(row: RankRow, event: Event) -> RankRow:
    failed = not event.ok or bool(row.why)
    return _replace(row, state="failed" if failed else "ended", why=row.why or event.error or "")


FOLDS: dict[str, Fold] = {
    "init": _init, "coll": _coll, "step": _step, "mem": _mem, "hb": _beat, "start": _start, "fact": _fact,
    "figure": _figure, "end": _end,
}  # fmt: skip
"""By event: how it changes the row. An event that is not here only shows that the rank lives."""


def _number(event: Event) -> float | None:
    """The event's value if it is a number; NaN arrives as a text, and an integer may be too large for one."""
    if isinstance(event.value, bool) or not isinstance(event.value, (int, float)):
        return None
    try:
        return float(event.value)
    except OverflowError:
        return None


Key = tuple[int, int, int]
"""Attempt, rank, pid: one process of one rank."""


class Ranks:
    """The ranks of one event folder, followed. `local` says that their pids are of this machine and boot."""

    def __init__(self, events: Path, host: str = "", local: bool = False) -> None:
        self._tail = EventTail(events)
        self._host, self._local = host, local
        self._rows: dict[Key, RankRow] = {}
        self._table = RankTable()

    def poll(self, now_ns: int | None = None) -> RankTable:
        """Read what is new. Ages are counted to `now_ns`, wall clock, default now."""
        new = self._tail.poll()
        for event in new:
            self._take(event)
        now = time.time_ns() if now_ns is None else now_ns
        rows = tuple(self._finish(row, now) for row in self._newest())
        grown = bool(new) or [r.state for r in rows] != [r.state for r in self._table.rows]
        self._table = RankTable(revision=self._table.revision + grown, rows=rows, broken_lines=self._tail.broken)
        return self._table

    def _take(self, event: Event) -> None:
        """Change the row that an event belongs to; what no rank wrote belongs to none."""
        if event.rank is None or not 0 <= event.rank < MOST_RANKS:
            return
        key = (event.attempt or 0, event.rank, event.pid)
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= MOST_ROWS:
                return
            row = RankRow(rank=event.rank, pid=event.pid, attempt=event.attempt or 0, host=self._host)
        fold = FOLDS.get(event.ev)
        row = row if fold is None else fold(row, event)
        self._rows[key] = _replace(row, last_event_ns=max(row.last_event_ns, event.t_ns))

    def _newest(self) -> list[RankRow]:
        """One row a rank: of its newest attempt, and in that the process that spoke last."""
        best: dict[int, RankRow] = {}
        for row in self._rows.values():
            other = best.get(row.rank)
            if other is None or (other.attempt, other.last_event_ns) <= (row.attempt, row.last_event_ns):
                best[row.rank] = row
        return [best[rank] for rank in sorted(best)]

    def _finish(self, row: RankRow, now_ns: int) -> RankRow:
        age = max(0.0, (now_ns - row.last_event_ns) / 1e9) if row.last_event_ns else None
        row = _replace(row, last_event_age_s=age)
        if self._local and not row.over and _gone(row.pid):
            return _replace(row, state="failed", why=row.why or "its process is gone, and it said no end")
        return row


def _gone(pid: int) -> bool:
    """Whether a process has ended: no entry in /proc, or a zombie that waits to be reaped."""
    entry = processes.read(pid)
    return entry is None or entry.dead


# --- as a job --------------------------------------------------------------------------------------------------------

_WORDS = {"starting": "starting", "importing": "importing", "initialising": "initialising", "stepping": "stepping",
          "reducing": "running", "ended": "ended", "failed": "exited"}  # fmt: skip
"""State of a probe's rank -> state of a job's rank."""


def as_view(table: RankTable, folder: str) -> JobView:
    """The ranks of a probe as a job: what each said last. Whose fault a failure is, is the probe's to judge."""
    rows = table.rows
    failed = [row for row in rows if row.state == "failed"]
    line = "; ".join(f"rank {row.rank}: {row.why}" for row in failed[:4] if row.why)
    verdict = JobVerdict(ranks=tuple(row.rank for row in failed), cause="unknown", line=line)
    over = bool(rows) and all(row.over for row in rows)
    state = ("failed" if over else "failing") if failed else "ended" if over else "running" if rows else "starting"
    return JobView(
        job="probe", state=state, verdict=verdict if failed else JobVerdict(), ranks=tuple(map(_rank_view, rows)),
        launcher="torchrun", command=Path(folder).name, run=folder, host=rows[0].host if rows else "", ours=True,
        notes=(f"{table.broken_lines} lines of events were broken",) if table.broken_lines else (),
    )  # fmt: skip


def _rank_view(row: RankRow) -> RankView:
    took = f" {row.collective_us:,.0f} µs" if row.collective_us is not None else ""
    return RankView(
        rank=row.rank, pid=row.pid, host=row.host, gpu=row.device, attempt=row.attempt, phase=row.phase, why=row.why,
        state=_WORDS.get(row.state, row.state), steps=row.steps or None, memory_bytes=row.memory_bytes,
        collective=row.collective + took, quiet_s=None if row.over else row.last_event_age_s,
    )  # fmt: skip
