"""Live XIDs through the fake driver library, whose events a file brings; and every way in which they cannot come."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_driver import absent, until
from nvml_in_process import Nvml

from torchprobes.cells import Absent, CellState
from torchprobes.telemetry.kernel import xid_events
from torchprobes.telemetry.kernel.xid_events import XidEvents


@pytest.fixture
def own_nvml(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nvml:
    """A copy of the fake library: it remembers how far it has read its file."""
    shutil.copy(library / "libnvidia-ml.so.1", tmp_path)
    nvml = Nvml(tmp_path, monkeypatch)
    monkeypatch.setenv("FAKE_NVML_CALLS", str(tmp_path / "calls"))
    return nvml


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[XidEvents]:
    """At a pace for tests, and at an end when the test is."""
    monkeypatch.setattr(xid_events, "WAIT_MS", 20)
    monkeypatch.setattr(xid_events, "AGAIN_S", 0.02)
    monkeypatch.setattr(xid_events, "HUNG_S", 0.2)
    found, before = XidEvents(), set(threading.enumerate())
    yield found
    found.stop()
    for thread in set(threading.enumerate()) - before:
        if thread.is_alive():  # one that is only about to start cannot be joined
            thread.join(0.1)  # or it writes into the next test's calls; one that hangs says nothing any more


def calls(tmp_path: Path, name: str) -> int:
    try:
        return (tmp_path / "calls").read_text().count(f"{name} ")
    except OSError:
        return 0


def test_an_xid_is_told_with_its_gpu(own_nvml: Nvml, events: XidEvents, tmp_path: Path) -> None:
    file = tmp_path / "xids"
    own_nvml.set("xids", str(file))
    events.start([own_nvml.device(0), own_nvml.device(1)])
    until(lambda: events.state == "nvml" or None)
    assert events.take() == ()
    before = time.time_ns()
    file.write_text("1 43\n0 79\n")
    found = list(until(events.take))
    until(lambda: found.extend(events.take()) or len(found) >= 2 or None)
    assert [(event.kind, event.source, event.code) for event in found] == [("xid", "nvml", 43), ("xid", "nvml", 79)]
    assert [event.gpu_uuid for event in found] == [own_nvml.device(1).uuid, own_nvml.device(0).uuid]
    assert found[0].bus_id == "0000:18:00"
    assert found[0].text == "XID 43, told by the driver"
    assert before <= found[0].t_ns <= found[1].t_ns <= time.time_ns()


def test_an_event_of_a_gpu_that_is_not_known_is_kept(own_nvml: Nvml, events: XidEvents, tmp_path: Path) -> None:
    file = tmp_path / "xids"
    file.write_text("7 119\n")
    own_nvml.set("xids", str(file))
    events.start([own_nvml.device(0)])
    (event,) = until(events.take)
    assert (event.code, event.gpu_uuid, event.bus_id) == (119, "", "")


def test_one_call_waits_for_all_gpus(own_nvml: Nvml, events: XidEvents, tmp_path: Path) -> None:
    own_nvml.set("gpus", "8")
    events.start([own_nvml.device(index) for index in range(8)])
    until(lambda: calls(tmp_path, "nvmlEventSetWait_v2") >= 3 or None)
    assert calls(tmp_path, "nvmlDeviceRegisterEvents") == 8
    assert calls(tmp_path, "nvmlEventSetCreate") == 1


def test_a_lost_gpu_is_left_out_and_named(own_nvml: Nvml, events: XidEvents, tmp_path: Path) -> None:
    devices = [own_nvml.device(0), own_nvml.device(1)]
    own_nvml.set("rules", "0:nvmlDeviceRegisterEvents:15")
    file = tmp_path / "xids"
    own_nvml.set("xids", str(file))
    events.start(devices)
    until(lambda: events.state is not xid_events.UNREAD or None)
    assert events.state == "nvml, 1 of 2 GPUs (GPU 0: the GPU has fallen off the bus)"
    file.write_text("1 31\n")
    assert until(events.take)[0].gpu_uuid == devices[1].uuid


def test_a_registration_that_hangs_costs_the_others_nothing(own_nvml: Nvml, events: XidEvents, tmp_path: Path) -> None:
    devices = [own_nvml.device(0), own_nvml.device(1)]
    own_nvml.set("rules", "0:nvmlDeviceRegisterEvents:hang", "*:nvmlEventSetWait_v2:999:3")
    events.start(devices)
    until(lambda: "does not answer" in str(events.state) or None)
    until(lambda: calls(tmp_path, "nvmlEventSetCreate") >= 3 or None)
    asked = (tmp_path / "calls").read_text().splitlines()
    assert asked.count("nvmlDeviceRegisterEvents 0") == 1  # it is not asked again, and no thread piles up behind it
    assert asked.count("nvmlDeviceRegisterEvents 1") >= 2
    first = asked.index("nvmlEventSetWait_v2 -1")
    second = asked.index("nvmlEventSetCreate -1", first)
    assert "nvmlEventSetFree -1" not in asked[:second]  # somebody still hangs in it


def test_a_wait_that_never_comes_back_is_told_as_hung(own_nvml: Nvml, events: XidEvents) -> None:
    device = own_nvml.device(0)
    own_nvml.set("rules", "*:nvmlEventSetWait_v2:hang")
    events.start([device])
    until(lambda: (isinstance(events.state, Absent) and events.state.state is CellState.HUNG) or None)
    assert "has not come back" in absent(events.state).why
    assert events.take() == ()


@pytest.mark.parametrize(
    ("rule", "state", "why"),
    [
        ("*:nvmlDeviceRegisterEvents:3", "n/s", "does not support"),
        ("*:nvmlEventSetCreate:13", "n/s", "does not know the call"),
        ("*:nvmlEventSetCreate:4", "perm", "denies"),
        ("*:nvmlEventSetWait_v2:15", "lost", "fallen off the bus"),
        ("*:nvmlEventSetWait_v2:999", "error", "unknown error"),
    ],
)
def test_what_fails_is_told_and_tried_again_unless_it_is_for_ever(
    own_nvml: Nvml, events: XidEvents, tmp_path: Path, rule: str, state: str, why: str
) -> None:
    device = own_nvml.device(0)
    own_nvml.set("rules", rule)
    events.start([device])
    cell = until(lambda: events.state if isinstance(events.state, Absent) and events.state.code is not None else None)
    assert (cell.state.value, why in cell.why) == (state, True)
    if state != "n/s":
        until(lambda: calls(tmp_path, "nvmlEventSetCreate") >= 3 or None)
        own_nvml.set("rules")
        until(lambda: events.state == "nvml" or None)


def test_a_library_without_events_says_so(own_nvml: Nvml, events: XidEvents) -> None:
    device = own_nvml.device(0)
    own_nvml.without("nvmlEventSetCreate")
    events.start([device])
    cell = until(lambda: events.state if isinstance(events.state, Absent) and events.state.code is not None else None)
    assert cell.state is CellState.NOT_SUPPORTED


def test_a_second_start_takes_over_from_the_first(own_nvml: Nvml, events: XidEvents, tmp_path: Path) -> None:
    file = tmp_path / "xids"
    own_nvml.set("xids", str(file))
    events.start([own_nvml.device(0)])
    until(lambda: events.state == "nvml" or None)
    events.start([own_nvml.device(0), own_nvml.device(1)])
    until(lambda: calls(tmp_path, "nvmlEventSetFree") == 1 or None)
    file.write_text("1 31\n")
    assert [event.gpu_uuid for event in until(events.take)] == [own_nvml.device(1).uuid]


def test_without_gpus_there_is_nothing_to_wait_for(own_nvml: Nvml, events: XidEvents, tmp_path: Path) -> None:
    events.start([])
    assert events.state is xid_events.UNREAD
    assert calls(tmp_path, "nvmlEventSetCreate") == 0
