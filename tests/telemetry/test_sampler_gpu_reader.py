"""One GPU's thread beside a vendor of our own, tick by tick, with times that are given."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from torchprobes.cells import UNREAD, Absent, CellState
from torchprobes.samples import ProcessSample
from torchprobes.telemetry.readings import ONCE, Device, Memory, Opened, ProcessReading, Reading
from torchprobes.telemetry.sampling.beat import Beat
from torchprobes.telemetry.sampling.gpu_reader import GpuReader, Looked


class Says(Exception):
    """What the library answers instead of a number."""

    def __init__(self, code: int) -> None:
        self.code = code


class Slow(NamedTuple):
    """An answer that takes its time."""

    answer: Any
    seconds: float


STATES = {3: CellState.NOT_SUPPORTED, 13: CellState.NOT_SUPPORTED, 15: CellState.LOST, 16: CellState.RESET}


class Library:
    """A vendor whose calls answer what `answers` holds: a number, or the code of a failure."""

    name = "nvidia"

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "power": 250,
            "temperature": 50,
            "ecc": 0,
            "name": "H200",
            "list": (),
            **answers,
        }
        self.asked: list[str] = []
        self.readings = (
            self.row("power", 0, "power_w"),
            self.row("temperature", 0, "temperature_c"),
            self.row("ecc", 30.0, "ecc_uncorrected_volatile"),
            self.row("name", ONCE, "name"),
        )
        self.processes = (
            ProcessReading("list", 2.0, (self.call("list"),), lambda pids, d: self.listed(pids, d)),
            ProcessReading("use", 2.0, (self.call("use"),), lambda uses, d: self.used(uses, d), lists=False),
        )

    def row(self, name: str, every_s: float, cell: str) -> Reading:
        def fill(answer: Any, _memory: Memory, _now: float) -> Mapping[str, Any]:
            return {cell: answer + 0 if isinstance(answer, int) else str(answer)}

        return Reading(name, every_s, (self.call(f"{name} v2"), self.call(name)), (cell,), fill)

    def call(self, name: str) -> Callable[[Device], Any]:
        def ask(_device: Device) -> Any:
            self.asked.append(name)
            answer = self.answers.get(name, Says(13))
            if isinstance(answer, Slow):
                time.sleep(answer.seconds)
                answer = answer.answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask

    def listed(self, pids: Sequence[int], device: Device) -> list[ProcessSample]:
        return [ProcessSample(pid=pid, gpu_uuid=device.uuid, gpu_memory_bytes=pid * 10) for pid in pids]

    def used(self, uses: Mapping[int, int], device: Device) -> list[ProcessSample]:
        return [ProcessSample(pid=pid, gpu_uuid=device.uuid, sm_percent=sm) for pid, sm in uses.items()]

    def identify(self, index: int) -> Device:
        if isinstance(failure := self.answers.get("handle"), Exception):
            raise failure
        return Device(index, index, f"GPU-{index}", f"0000:{index:02x}:00.0")

    def absent(self, error: Exception) -> Absent:
        code = error.code if isinstance(error, Says) else None
        return Absent(state=STATES.get(code or 0, CellState.ERROR), why=f"says {code}", code=code)

    def is_final(self, cell: Absent) -> bool:
        return cell.code in (3, 13)

    def is_unknown(self, error: Exception) -> bool:
        return isinstance(error, Says) and error.code == 13

    def wants_reopening(self, cell: Absent) -> bool:
        return cell.code in (1, 9, 18)

    def open(self) -> Opened:
        return Opened("1", "1", 1)

    def count(self) -> int:
        return 1

    def close(self) -> None:
        """Nothing is held."""

    def open_failure(self, error: Exception) -> str:
        return str(error)

    def topology(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        return ()

    def peers(self, devices: Sequence[Device]) -> tuple[tuple[str, ...], ...]:
        return ()


class Ticked:
    """A GPU of a library, ticked by hand every half second."""

    def __init__(self, library: Library) -> None:
        self.gpu, self.now = GpuReader(library, 0, 1, Beat()), 1000.0

    def tick(self, times: int = 1) -> Looked:
        for _ in range(times):
            self.gpu.take_tick(self.now)
            self.now += 0.5
        assert self.gpu.looked is not None
        return self.gpu.looked


def test_a_gpu_that_was_lost_and_is_back_is_read_anew_at_once() -> None:
    library = Library()
    ticked = Ticked(library)
    before = ticked.tick(3)
    assert (before.state, before.cells["ecc_uncorrected_volatile"], before.cells["name"]) == ("ok", 0, "H200")
    library.answers.update(power=Says(15), temperature=Says(15), ecc=Says(15), list=Says(15))
    lost = ticked.tick()
    assert lost.state == "lost"
    assert lost.cells["ecc_uncorrected_volatile"].state is CellState.LOST, "though nobody asked for it"
    assert lost.cells["name"] == "H200"
    library.answers.update(power=200, temperature=40, ecc=7, list=())
    library.asked.clear()
    back = ticked.tick()
    assert (back.state, back.cells["power_w"], back.cells["ecc_uncorrected_volatile"]) == ("ok", 200, 7)
    assert "name" not in library.asked


def test_one_call_that_says_lost_does_not_take_away_what_the_others_say() -> None:
    looked = Ticked(Library(temperature=Says(15))).tick(2)
    assert (looked.state, looked.cells["power_w"], looked.cells["temperature_c"].state) == ("lost", 250, CellState.LOST)


def test_the_newest_call_that_is_known_answers_and_its_failure_is_not_hidden_by_an_older_one() -> None:
    library = Library(**{"power v2": 251, "temperature v2": Says(4)})
    looked = Ticked(library).tick()
    assert looked.cells["power_w"] == 251
    assert looked.cells["temperature_c"].code == 4
    assert "power" not in library.asked
    assert "temperature" not in library.asked


@pytest.mark.parametrize("code", [3, 13])
def test_a_failure_that_stays_is_asked_for_once_and_any_other_again(code: int) -> None:
    library = Library(power=Says(code), temperature=Says(999))
    looked = Ticked(library).tick(5)
    assert library.asked.count("power") == 1
    assert library.asked.count("temperature") == 5
    assert looked.cells["power_w"].state is CellState.NOT_SUPPORTED
    assert looked.cells["temperature_c"].state is CellState.ERROR


def test_an_answer_of_no_sense_is_a_cell_that_shows_it() -> None:
    class Strange:
        def __str__(self) -> str:
            raise ValueError("no text")

        def __repr__(self) -> str:
            return "<strange>"

    cell = Ticked(Library(power=Strange())).tick().cells["power_w"]
    assert (cell.state, "<strange>" in cell.why) == (CellState.ERROR, True)


@pytest.mark.parametrize("code", [1, 9, 18])
def test_a_driver_that_answers_nothing_any_more_is_opened_anew(code: int) -> None:
    library = Library()
    ticked = Ticked(library)
    ticked.tick()
    library.answers.update({name: Says(code) for name in ("power", "temperature", "ecc", "list")})
    ticked.tick()
    assert ticked.gpu.reopen == f"says {code}"


def test_one_odd_answer_does_not_end_the_process() -> None:
    ticked = Ticked(Library(temperature=Says(9)))
    ticked.tick(5)
    assert ticked.gpu.reopen == ""


def test_a_fault_of_our_own_costs_its_gpu_the_cells_and_no_other_gpu_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    beat, tick = Beat(), GpuReader._tick
    ill, well = (GpuReader(Library(), index, 2, beat) for index in range(2))
    monkeypatch.setattr(GpuReader, "_tick", lambda gpu, now: tick(gpu, now) if gpu is well else 1 / 0)
    for gpu in (ill, well):
        gpu.start()
    for _ in range(2):
        beat.give()
        assert beat.gather(20.0)
    assert ill.looked is not None
    assert well.looked is not None
    cell = ill.looked.cells["power_w"]
    assert (cell.state, "ZeroDivisionError" in cell.why) == (CellState.ERROR, True)
    assert well.looked.cells["power_w"] == 250


def test_lanes_say_how_old_their_oldest_reading_is() -> None:
    ticked = Ticked(Library())
    looked = ticked.tick(10)
    assert looked.read_at == {"health": 1000.0}
    assert ticked.tick(200).read_at["health"] > 1000.0


def test_a_list_names_processes_and_the_use_of_each_only_adds_to_them() -> None:
    library = Library(list=(11, 12), use={11: 40, 99: 3})
    looked = Ticked(library).tick(6)
    rows = {process.pid: (process.gpu_memory_bytes, process.sm_percent) for process in looked.processes}
    assert rows == {11: (110, 40), 12: (120, UNREAD)}


def test_the_use_of_each_is_not_asked_where_there_is_nobody() -> None:
    library = Library(use={})
    Ticked(library).tick(20)
    assert "use" not in library.asked


def test_a_list_that_fails_for_now_does_not_empty_the_gpu() -> None:
    library = Library(list=(11,), use={})
    ticked = Ticked(library)
    ticked.tick()
    library.answers["list"] = Says(999)
    assert [process.pid for process in ticked.tick(10).processes] == [11]


def test_a_gpu_without_a_handle_is_asked_for_it_now_and_then() -> None:
    library = Library(handle=Says(15))
    ticked = Ticked(library)
    looked = ticked.tick()
    assert (looked.state, looked.cells["power_w"].code, ticked.gpu.device) == ("lost", 15, None)
    library.answers["handle"] = None
    assert ticked.tick().state == "lost", "not on every tick"
    looked = ticked.tick(5)
    assert (looked.state, looked.cells["power_w"]) == ("ok", 250)


def test_what_is_asked_once_may_be_slow_and_is_no_reason_to_ask_less_often() -> None:
    """It fails for now, so that it is asked again and again and is slow each time; then the fast ones are."""
    library = Library(name=Slow(Says(999), 0.03))
    ticked = Ticked(library)
    looked = [ticked.tick(25) for _ in range(4)]
    assert library.asked.count("name") >= 4
    assert not any(one.backed_off for one in looked)
    library.answers["power"] = Slow(Says(999), 0.03)
    assert ticked.tick(2).backed_off
