"""One GPU as the beat has it read, so that a call that hangs holds up no other GPU. Runs in the sampler child."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from ...cells import UNREAD, Absent, CellState
from ...samples import LANES, ProcessSample
from ..readings import ONCE, Device, Memory, ProcessReading, Reading, Vendor
from .beat import Beat, Member
from .said import Said, Words, inside, unread
from .schedule import TICK_MS, BackOff, Schedule

HUNG_S: Final = 2.0
"""A call that takes longer than this is told as hung."""

NAMES: Final = ("name", "minor_number")
"""Cells that another witness of the boot knows as well."""

IDENTIFY_S: Final = 2.0
"""A GPU that gives no handle is asked for one so often."""


_Asked = Reading | ProcessReading


class Looked(NamedTuple):
    """What is known of a GPU after a tick: each row's newest answer, and when the oldest of each lane was given.

    `is_named` says whether those cells are among them by which a person knows a GPU.
    """

    at: float
    fast: Words
    slow: Words
    read_at: Mapping[str, float] = MappingProxyType({})
    processes: tuple[ProcessSample, ...] = ()
    state: str = "ok"
    cost_ms: float = 0.0
    backed_off: bool = False
    is_named: bool = False

    @property
    def cells(self) -> dict[str, Any]:
        """All cells by name."""
        return {name: cell for cells in (*self.fast.cells, *self.slow.cells) for name, cell in cells.items()}


class GpuReader:
    """Finds one GPU by its index and reads it on every beat; what it found may be looked at from any thread.

    `seat` is its place among the `seats` GPUs of the node. A GPU that gives no handle (it is lost already, or the
    driver hangs on it) is asked for one again and again.
    """

    def __init__(self, vendor: Vendor, index: int, seats: int, beat: Beat, tick_ms: float = TICK_MS) -> None:
        self.vendor, self.index = vendor, index
        self.name = f"{vendor.name} {index}"
        self.began = time.monotonic()
        self.device: Device | None = None
        self.looked: Looked | None = None
        self.reopen = ""
        """Why the library must be opened anew, "" as long as it need not."""
        self._beat = beat
        self._schedule: Schedule[_Asked] = Schedule((*vendor.readings, *vendor.processes), index, seats, tick_ms)
        self._lane_of = {
            row.name: LANES.get(row.cells[0], "health") for row in vendor.readings if row.every_s not in (0, ONCE)
        }
        self._said = Said([row.name for row in vendor.readings if not row.every_s])
        self._back_off = BackOff(tick_ms)
        self._calling: tuple[str, float] | None = None
        self._member: Member | None = None
        self._paused_s = 0.0
        self._memory = Memory()
        self._read_at: dict[str, float] = {}
        self._listed: dict[str, Sequence[ProcessSample]] = {}
        self._failed: dict[str, Absent] = {}
        self._slow_news = True
        """Whether a slow row was asked since the three below were made of what those say."""
        self._lanes: dict[str, float] = {}
        self._is_named = False
        self._merged: tuple[ProcessSample, ...] = ()
        self._gone: Absent | None = None
        """What the driver said when the GPU was lost, as long as it is."""

    def start(self) -> None:
        """Begin with the next beat."""
        self._member = self._beat.join(self._play)

    def hung(self) -> str:
        """Which call has not answered for more than HUNG_S, "" if none."""
        calling = self._calling
        waited = time.monotonic() - calling[1] if calling else 0.0
        return f"{calling[0]} has not answered for {waited:.1f} s" if calling and waited > HUNG_S else ""

    def is_late(self) -> bool:
        """Whether nobody should wait for it: a call of it takes longer than a tick may."""
        calling = self._calling
        return calling is not None and (time.monotonic() - calling[1]) * 1000 > 5 * TICK_MS

    # --- in its turn ----------------------------------------------------------------------------------------------

    def _play(self, member: Member) -> None:
        now = time.monotonic()
        try:
            self.take_tick(now)
        except Exception as error:  # noqa: BLE001 - a fault of ours costs this GPU its cells, never the others theirs
            why = Absent(state=CellState.ERROR, why=f"a fault of torchdoctor's own: {error!r}"[:200])
            self.looked = self._nothing(now, why)
        member.times = self._back_off.times

    def take_tick(self, now: float) -> None:
        """Find the GPU if it was not found yet, and read what is due. In its turn, or for a clock of a test."""
        if self._open(now):
            self.looked = self._tick(now)

    def _open(self, now: float) -> bool:
        """Whether there is a handle; without one every cell says why."""
        if self.device is not None:
            return True
        if self.looked is not None and now - self.looked.at < IDENTIFY_S:
            return False
        answer, _ = self._ask("opening it", (lambda _: self.vendor.identify(self.index),), None)
        if isinstance(answer, Absent):
            self.looked = self._nothing(now, answer)
            return False
        self.device = replace(answer, pause=self._pause)
        return True

    def _nothing(self, now: float, why: Absent) -> Looked:
        """Of no cell anything is known."""
        cells = unread([cell for row in self.vendor.readings for cell in row.cells], why)
        return Looked(now, Words((), b""), Words((cells,), inside(cells)), state=_state({"all": why}))

    def _tick(self, now: float) -> Looked:
        was_gone, self._gone = self._gone, None
        cost_ms, fast_ms, answered = 0.0, 0.0, 0
        for row in self._schedule.tick(now):
            if row.every_s and not answered and self._lost() is not None:
                break  # a GPU off the bus answers nothing: it is asked for its fast readings only
            if row.every_s and self._is_idle(row):
                self._schedule.done(row, now, 0.0)
                continue
            failure, ms = self._take(row, now)
            cost_ms, answered = cost_ms + ms, answered + (failure is None)
            self._settle(row, failure, now, ms)
            if row.every_s:
                self._slow_news = True
            else:
                fast_ms += ms
            if was_gone is not None and answered:
                was_gone = None
                self._schedule.all_due()
        self._back_off.add(fast_ms)
        if not answered:
            self._gone = self._lost()
            self.reopen = next((c.why for c in self._failed.values() if self.vendor.wants_reopening(c)), "")
        return self._publish(time.monotonic(), cost_ms)

    def _lost(self) -> Absent | None:
        """What the driver says of a GPU that it lost."""
        return next((cell for cell in self._failed.values() if cell.state is CellState.LOST), None)

    def _take(self, row: _Asked, now: float) -> tuple[Absent | None, float]:
        """Ask one row and keep what it says: why it said nothing, and its milliseconds."""
        answer, ms = self._ask(row.name, row.calls, self.device)
        failure = answer if isinstance(answer, Absent) else None
        if isinstance(row, Reading):
            cells = self._filled(row, answer, now) if failure is None else unread(row.cells, failure)
            self._said.put(row.name, cells)
            if failure is None and row.name in self._lane_of:
                self._read_at[row.name] = now
        elif failure is None and self.device is not None:
            self._listed[row.name] = _listed(row, answer, self.device)
        return failure, ms

    def _settle(self, row: _Asked, failure: Absent | None, now: float, ms: float) -> None:
        if failure is None:
            self._failed.pop(row.name, None)
            self._schedule.done(row, now, ms)
            return
        self._failed[row.name] = failure
        if self.vendor.is_final(failure):
            self._schedule.drop(row)
            self._read_at.pop(row.name, None)
        else:
            self._schedule.done(row, now, ms, failed=True)

    def _ask(self, name: str, calls: Sequence[Callable[[Device], Any]], device: Any) -> tuple[Any, float]:
        """The answer of the first call that the library knows, or why there is none; and its milliseconds."""
        began = time.monotonic()
        self._calling = (name, began)
        try:
            answer = calls[0](device) if len(calls) == 1 else self._first_known(calls, device)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything; the cell says what
            answer = self.vendor.absent(error)
        self._calling = None
        paused_s, self._paused_s = self._paused_s, 0.0
        return answer, (time.monotonic() - began - paused_s) * 1000

    def _pause(self, seconds: float) -> None:
        began = time.monotonic()
        if self._member is not None:
            self._member.pause(seconds)
        self._paused_s += time.monotonic() - began

    def _first_known(self, calls: Sequence[Callable[[Device], Any]], device: Any) -> Any:
        for call in calls[:-1]:
            try:
                return call(device)
            except Exception as error:
                if not self.vendor.is_unknown(error):
                    raise
        return calls[-1](device)

    def _filled(self, reading: Reading, answer: Any, now: float) -> Mapping[str, Any]:
        try:
            return reading.fill(answer, self._memory, now)
        except Exception as error:  # noqa: BLE001 - an answer of a shape that nobody foresaw is told, not raised
            cell = Absent(state=CellState.ERROR, why=f"the driver answered {answer!r}: {error}"[:200])
            return unread(reading.cells, cell)

    def _is_idle(self, row: _Asked) -> bool:
        """Whether this row only adds to processes, and there are none."""
        if isinstance(row, Reading) or row.lists:
            return False
        return not any(self._listed.get(other.name) for other in self.vendor.processes if other.lists)

    def _publish(self, at: float, cost_ms: float) -> Looked:
        if self._gone is not None:
            self._said.lose(self._gone)
        if self._slow_news:
            self._slow_news, self._lanes, self._merged = False, self._oldest(), self._processes()
            self._is_named |= not any(isinstance(self._said.cell(name), Absent) for name in NAMES)
        said, state, backed_off = self._said, _state(self._failed), self._back_off.times > 1
        return Looked(
            at, said.fast(), said.slow(), self._lanes, self._merged, state, cost_ms, backed_off, self._is_named
        )

    def _oldest(self) -> dict[str, float]:
        """Slow lane -> when its oldest reading was taken."""
        lanes: dict[str, float] = {}
        for name, read_at in self._read_at.items():
            lane = self._lane_of[name]
            if read_at < lanes.get(lane, inf):
                lanes[lane] = read_at
        return lanes

    def _processes(self) -> tuple[ProcessSample, ...]:
        """Every process that a list names, once, with what the other rows add to it."""
        found: dict[int, ProcessSample] = {}
        rows = [(row, process) for row in self.vendor.processes for process in self._listed.get(row.name, ())]
        for row, process in sorted(rows, key=lambda each: not each[0].lists):
            known = found.get(process.pid)
            if known is not None:
                found[process.pid] = _merged(known, process)
            elif row.lists:
                found[process.pid] = process
        return tuple(found.values())


def _listed(row: ProcessReading, answer: Any, device: Device) -> Sequence[ProcessSample]:
    try:
        return tuple(row.fill(answer, device))
    except Exception:  # noqa: BLE001 - hostile answers: a list that cannot be read names nobody
        return ()


def _merged(known: ProcessSample, other: ProcessSample) -> ProcessSample:
    """What is known of a process, with the cells that only the other row has."""
    cells = {
        name: value
        for name in ("gpu_memory_bytes", "sm_percent", "gpu_instance")
        if isinstance(getattr(known, name), Absent) and (value := getattr(other, name)) is not UNREAD
    }
    return msgspec.structs.replace(known, **cells) if cells else known


def _state(failed: Mapping[str, Absent]) -> str:
    """`lost` or `reset` if the driver says so of any reading, else `ok`."""
    if not failed:
        return "ok"
    states = {cell.state for cell in failed.values()}
    for state in (CellState.LOST, CellState.RESET):
        if state in states:
            return str(state.value)
    return "ok"
