"""One thread a GPU, so that a call that hangs holds up no other GPU. Runs in the sampler child."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pynvml

from ..samples import Absent, Cell, CellState, GpuSample, ProcessSample
from . import nvml
from .processes import Names, describe

SLOW_S = 10.0
HUNG_S = 2.0
"""A call that takes longer than this is told as hung."""

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
    """Finds one GPU by its index and reads it again and again; `sample` may be called from any thread at any time.

    A GPU that gives no handle (it is lost already, or the driver hangs on it) keeps its row under its index.
    """

    def __init__(self, index: int, period_s: float, names: Names) -> None:
        self.identity = Identity(index, f"index-{index}", "")
        self.looked: Looked | None = None
        self.opened = threading.Event()
        """Set when the driver said which GPU it is, or that it cannot."""
        self._handle: Any = None
        self._period_s, self._names = period_s, names
        self._began = time.monotonic()
        self._calling: tuple[str, float] | None = None
        self._final: dict[str, Absent] = {}
        self._slow: dict[str, Cell] = {}
        self._slow_at = float("-inf")

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name=f"gpu {self.identity.index}", daemon=True).start()

    def hung(self) -> str:
        """Which call has not answered for more than HUNG_S, "" if none."""
        calling = self._calling
        waited = time.monotonic() - calling[1] if calling else 0.0
        return f"{calling[0]} has not answered for {waited:.1f} s" if calling and waited > HUNG_S else ""

    def sample(self) -> tuple[GpuSample, tuple[ProcessSample, ...]]:
        """The newest reading and its age; all cells `hung` when the driver does not answer for this GPU."""
        looked, who = self.looked, self.identity
        age = time.monotonic() - (looked.at if looked else self._began)
        state, cells = "starting", {}
        if why := self.hung():
            state, cells = "hung", _all_cells(Absent(state=CellState.HUNG, why=why, age_s=round(age, 1)))
        elif looked is not None:
            state, cells = _state(looked.cells), dict(looked.cells)
        values: dict[str, Any] = cells
        sample = GpuSample(index=who.index, uuid=who.uuid, bus_id=who.bus_id, **values, state=state, age_s=age)
        return sample, self._names.fill(looked.processes) if looked else ()

    def _run(self) -> None:
        while True:
            begin = time.monotonic()
            self.looked = self._look(begin) if self._open() else self.looked
            self.opened.set()
            cost_ms = (time.monotonic() - begin) * 1000
            slower = 10 if cost_ms > BACK_OFF_MS else 1
            time.sleep(max(0.01, self._period_s * slower - cost_ms / 1000))

    def _open(self) -> bool:
        """Whether there is a handle; without one every cell says why, and it is tried again at the next tick."""
        if self._handle is not None:
            return True
        index = self.identity.index
        answer = self._ask("opening it", (lambda _: _identify(index),))
        if isinstance(answer, Absent):
            self.looked = Looked(time.monotonic(), _all_cells(answer))
            return False
        self._handle, self.identity = answer
        self.opened.set()
        return True

    def _look(self, begin: float) -> Looked:
        cells = self._read(nvml.FAST)
        if begin - self._slow_at >= SLOW_S:
            self._slow = self._read(nvml.SLOW)
            self._slow_at = begin
        found = self._processes()
        now = time.monotonic()
        return Looked(now, {**self._slow, **cells}, found, (now - begin) * 1000)

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
            self._calling = None

    def _processes(self) -> tuple[ProcessSample, ...]:
        found: dict[int, ProcessSample] = {}
        for kind, calls in nvml.PROCESSES:
            answer = self._ask(f"{kind} processes", calls)
            for process in () if isinstance(answer, Absent) else answer:
                found.setdefault(int(process.pid), describe(process, self.identity.uuid, kind))
        self._names.want(found)
        return tuple(found.values())


def _identify(index: int) -> tuple[Any, Identity]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    uuid, bus_id = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetPciInfo(handle).busId
    return handle, Identity(index, str(uuid), str(bus_id))


def _taken(take: Callable[[Any], Cell], answer: Any) -> Cell:
    try:
        return take(answer)
    except (TypeError, ValueError, AttributeError) as error:
        return Absent(state=CellState.ERROR, why=f"the driver answered {answer!r}: {error}"[:200])


def _all_cells(cell: Absent) -> dict[str, Cell]:
    return {name: cell for reading in (*nvml.FAST, *nvml.SLOW) for name in reading.cells}


def _state(cells: dict[str, Cell]) -> str:
    """`lost` or `reset` if the driver says so of any reading, else `ok`."""
    said = {cell.state for cell in cells.values() if isinstance(cell, Absent)}
    for state in (CellState.LOST, CellState.RESET):
        if state in said:
            return str(state.value)
    return "ok"
