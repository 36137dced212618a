"""One thread a GPU, so that a call that hangs holds up no other GPU. Runs in the sampler child."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..model import Absent, Cell, CellState, GpuSample, ProcessSample
from . import nvml, processes

SLOW_S = 10.0
HUNG_S = 2.0
"""An answer that is later than this is told as hung."""

BACK_OFF_MS = 20.0
"""A tick that costs more than this is taken less often: the driver is busy, and we must not make it worse."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What names a GPU whatever its index becomes."""

    index: int
    uuid: str
    bus_id: str


@dataclass(frozen=True, slots=True)
class Looked:
    """One finished look at a GPU."""

    at: float
    cells: dict[str, Cell] = field(default_factory=dict)
    processes: tuple[ProcessSample, ...] = ()
    cost_ms: float = 0.0


class GpuThread:
    """Reads one GPU again and again; `sample` may be called from any thread at any time."""

    def __init__(self, identity: Identity, handle: Any, period_s: float) -> None:
        self.identity = identity
        self.looked: Looked | None = None
        self._handle, self._period_s = handle, period_s
        self._began = time.monotonic()
        self._calling = ("the first call", self._began)
        self._final: dict[str, Absent] = {}
        self._slow: dict[str, Cell] = {}
        self._slow_at = float("-inf")

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=f"gpu {self.identity.index}", daemon=True).start()

    def sample(self) -> tuple[GpuSample, tuple[ProcessSample, ...]]:
        """The newest reading and its age; all cells `hung` when the driver does not answer for this GPU."""
        now, looked, (call, since) = time.monotonic(), self.looked, self._calling
        age = now - (looked.at if looked else self._began)
        who: dict[str, Any] = {f: getattr(self.identity, f) for f in ("index", "uuid", "bus_id")}
        late = max(HUNG_S, 3 * self._period_s)
        if age > late and now - since > HUNG_S:
            why = f"{call} has not answered for {now - since:.1f} s"
            hung = Absent(state=CellState.HUNG, why=why, age_s=round(age, 1))
            return GpuSample(**who, **_all_cells(hung), state="hung", age_s=age), looked.processes if looked else ()
        if looked is None:
            return GpuSample(**who, state="starting", age_s=age), ()
        cells: dict[str, Any] = dict(looked.cells)
        return GpuSample(**who, **cells, state=_state(looked.cells), age_s=age), looked.processes

    def _run(self) -> None:
        while True:
            begin = time.monotonic()
            cells = self._read(nvml.FAST)
            if begin - self._slow_at >= SLOW_S:
                self._slow = self._read(nvml.SLOW)
                self._slow_at = begin
            found = self._processes()
            cost_ms = (time.monotonic() - begin) * 1000
            self.looked = Looked(time.monotonic(), {**self._slow, **cells}, found, cost_ms)
            slower = 10 if cost_ms > BACK_OFF_MS else 1
            time.sleep(max(0.01, self._period_s * slower - cost_ms / 1000))

    def _read(self, readings: tuple[nvml.Reading, ...]) -> dict[str, Cell]:
        cells: dict[str, Cell] = {}
        for reading in readings:
            answer = self._ask(reading.name, reading.calls)
            for cell, take in reading.cells.items():
                cells[cell] = answer if isinstance(answer, Absent) else _taken(take, answer)
        return cells

    def _ask(self, name: str, calls: tuple[Callable[[Any], Any], ...]) -> Any:
        if name in self._final:
            return self._final[name]
        self._calling = (name, time.monotonic())
        try:
            return nvml.first_that_exists(calls, self._handle)
        except Exception as error:  # noqa: BLE001 - a driver may raise anything; the cell says what
            cell = nvml.absent(error)
            if cell.code in nvml.FINAL:
                self._final[name] = cell
            return cell
        finally:
            self._calling = ("the next call", time.monotonic())

    def _processes(self) -> tuple[ProcessSample, ...]:
        found: dict[int, ProcessSample] = {}
        for kind, calls in nvml.PROCESSES:
            answer = self._ask(f"{kind} processes", calls)
            for process in () if isinstance(answer, Absent) else answer:
                found.setdefault(int(process.pid), processes.describe(process, self.identity.uuid, kind))
        return tuple(found.values())


def _taken(take: Callable[[Any], Cell], answer: Any) -> Cell:
    try:
        return take(answer)
    except (TypeError, ValueError, AttributeError) as error:
        return Absent(state=CellState.ERROR, why=f"the driver answered {answer!r}: {error}"[:200])


def _all_cells(cell: Absent) -> dict[str, Any]:
    return {name: cell for reading in (*nvml.FAST, *nvml.SLOW) for name in reading.cells}


def _state(cells: dict[str, Cell]) -> str:
    """`lost` or `reset` if the driver says so of any reading, else `ok`."""
    said = {cell.state for cell in cells.values() if isinstance(cell, Absent)}
    for state in (CellState.LOST, CellState.RESET):
        if state in said:
            return str(state.value)
    return "ok"
