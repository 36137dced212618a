"""What the first view of the GPUs pane says, as text, on every size of screen."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from console_app import page_text
from fakes import (
    EVENTS,
    FINDINGS,
    HOSTILE,
    NO_GPU,
    TARGET,
    FakeHistory,
    FakePast,
    FakeReplay,
    gpu,
    host,
    process,
    sample,
)
from rich.cells import cell_len

from torchdoctor.events import NewestXids, place
from torchdoctor.paint import Line, Page, text_of
from torchdoctor.panes.gpus_overview import overview
from torchdoctor.sources import Snapshot
from torchdoctor.widgets.cells import cell_span
from torchdoctor.widgets.foot_rows import cost_line, replay_line
from torchdoctor.widgets.gpu_rows import _COLUMNS
from torchdoctor.widgets.gpu_words import GpuRow, faults, mark, throttle_cell, worst_of_gpus
from torchdoctor.widgets.process_rows import SORTS, matches, process_key, process_rows
from torchdoctor.widgets.table_rows import Column
from torchprobes.cells import Absent, CellState
from torchprobes.model import Finding, Severity
from torchprobes.samples import (
    Accelerator,
    DiskSample,
    GpuSample,
    GroupSample,
    KernelEvent,
    NetworkSample,
    PortSample,
    Sample,
)
from torchprobes.telemetry.health import Health

GIB = 1 << 30
SIZES = [(59, 11), (79, 19), (119, 35), (199, 45)]


def snapshot(one: Sample | None = None, **changes: Any) -> Snapshot:
    """A snapshot with a history, a past, and findings unless others are given."""
    fields: dict[str, Any] = {"sample": one or sample(), "findings": FINDINGS, "target": TARGET,
                              "history": FakeHistory(), "past": FakePast()}  # fmt: skip
    return Snapshot(**{**fields, **changes})


def gpu_lines(page: Page) -> list[str]:
    """The lines of the table of GPUs."""
    return [text_of(page.lines[y]) for y, key in sorted(page.keys.items()) if key.startswith("gpu:")]


def row(one: GpuSample, **changes: Any) -> GpuRow:
    return GpuRow(one, **changes)


def roles(line: Line) -> dict[str, str]:
    return {text.strip(): role for text, role in line}


# --- cells -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(CellState))
def test_an_absent_cell_says_why_and_never_a_number(state: CellState) -> None:
    text, role = cell_span(Absent(state=state, why="x", age_s=12.4), " W")
    assert text == f"{state.value} 12 s"
    assert role


@pytest.mark.parametrize("state", [state for state in CellState if state is not CellState.STALE])
@pytest.mark.parametrize("size", SIZES)
def test_a_gpu_without_any_number_says_its_state_in_every_cell(state: CellState, size: tuple[int, int]) -> None:
    cell = Absent(state=state, why="x", age_s=12.4)
    cells = {name: cell for name in GpuSample.__struct_fields__ if getattr(gpu(3), name).__class__ in (int, float)}
    cells = {name: cell for name in cells if name not in ("index", "age_s", "cost_ms")}
    one = msgspec.structs.replace(gpu(3), **cells)
    line = gpu_lines(overview(snapshot(sample(8, gpus=(gpu(0), gpu(1), one))), *size))[2]
    assert line.count(state.value) >= 4
    assert not re.search(r"\d", line.replace(" 12 s", "").replace(" 3 ", "", 1))


# --- rows, cards and pairs ---------------------------------------------------------------------------------------


def test_every_gpu_is_a_line_and_keeps_it_when_it_is_lost() -> None:
    lines = gpu_lines(overview(snapshot(), 79, 19))
    assert [int(line[1:4]) for line in lines] == list(range(8))
    assert lines[5].startswith("✘")
    assert lines[5].count("lost") >= 5
    assert "0 %" not in lines[5]
    assert lines[6].count("hung") >= 4
    assert "111.0/140.0" in lines[6]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 16])
def test_every_line_fits_every_screen(size: tuple[int, int], count: int) -> None:
    page = overview(snapshot(sample(count) if count else NO_GPU), *size)
    stops = [stop for stop in page.stops() if stop.key.startswith("gpu:")]
    assert len(stops) == count
    if count > 2:
        table = [text_of(page.lines[stop.line]) for stop in stops]
        assert all(cell_len(line.rstrip()) <= size[0] for line in table)


@pytest.mark.parametrize("count", [8, 16])
def test_the_gpus_and_six_processes_are_on_the_first_screenful_of_80_by_24(count: int) -> None:
    many = tuple(process(100 + i, i) for i in range(8))
    page = overview(snapshot(sample(count, processes=many)), 79, 19)
    shown = [stop.key.partition(":")[0] for stop in page.stops() if stop.line < 19]
    assert shown.count("gpu") == count
    assert shown.count("process") >= 6


def test_sixteen_gpus_stand_two_in_a_line_only_where_the_screen_is_low() -> None:
    low, high = overview(snapshot(sample(16)), 79, 19), overview(snapshot(sample(16)), 199, 45)
    assert len(low.spots) == 16
    assert [spot.line for spot in low.spots] == [*range(2, 10)] * 2
    assert not high.spots
    assert len(gpu_lines(high)) == 16
    for spot in low.spots:
        cell = text_of(low.lines[spot.line])[spot.begin : spot.end]
        assert int(cell[1:4]) == low.spots.index(spot)


def test_a_wide_screen_shows_rates_clocks_against_their_maximum_and_the_last_minutes() -> None:
    line = gpu_lines(overview(snapshot(), 199, 45))[1]
    for text in ("1980/1980", "1.2G 34M", "210G 200G", "42/47", "180/700", "█"):
        assert text in line


def test_the_plot_of_a_row_is_asked_once_a_page_and_only_where_it_is_drawn() -> None:
    history = FakeHistory()
    overview(snapshot(history=history), 79, 19)
    assert not [asked for asked in history.asked if asked[0] != "host"]
    overview(snapshot(history=history), 199, 45)
    assert len([asked for asked in history.asked if asked[0] != "host"]) == 8


def test_models_are_counted() -> None:
    one = sample(8, gpus=(gpu(0), gpu(1), msgspec.structs.replace(gpu(2), name="NVIDIA A100")))
    assert "2 × H200, 1 × A100" in page_text(overview(snapshot(one), 79, 19))


# --- faults, marks, throttle -------------------------------------------------------------------------------------

XID = KernelEvent(t_ns=1, kind="xid", source="kmsg", code=48)
STALE = Absent(state=CellState.PERMISSION, why="denied")


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (row(gpu(0)), "none"),
        (row(gpu(0, ecc_uncorrected_volatile=3)), "ECC 3"),
        (row(gpu(0, remap_pending=1)), "remap"),
        (row(gpu(0, remap_failure="yes")), "remap failed"),
        (row(gpu(0, recovery_action=1)), "needs reset"),
        (row(gpu(0, recovery_action=9)), "needs action 9"),
        (row(gpu(0, recovery_action="drain and reset")), "needs drain and reset"),
        (row(gpu(0, nvlinks_active=17)), "NVLink 17/18"),
        (row(gpu(0, pcie_width=8)), "PCIe x8"),
        (row(gpu(0, ecc_uncorrected_volatile=1, remap_pending=1)), "ECC 1 +1"),
        (row(gpu(0, pcie_width=8), xid=XID), "XID 48 +1"),
        (row(gpu(0, state="reset")), "reset"),
        (row(gpu(0), weight=Severity.WARNING), "warning"),
        (row(gpu(0, ecc_uncorrected_volatile=STALE, recovery_action=STALE, remap_failure=STALE)), "perm"),
    ],
)
def test_the_worst_fault_of_a_gpu_is_a_word(one: GpuRow, words: str) -> None:
    text, role = faults(one)
    assert text == words
    assert (role == "dim") == (words == "none")


def test_a_finding_marks_the_row_of_its_gpu_and_no_other() -> None:
    found = [
        Finding(id="a", severity=Severity.WARNING, seen="GPU 1 00000000:28:00.0: hot: 90 °C", why=""),
        Finding(id="b", severity=Severity.CRITICAL, seen="GPU 11 00000000:C8:00.0: ECC: 3", why=""),
        Finding(id="c", severity=Severity.INFO, seen="GPU 11 00000000:C8:00.0: note: x", why=""),
        Finding(id="d", severity=Severity.CRITICAL, seen="/dev/shm is full", why=""),
    ]
    assert worst_of_gpus(found) == {1: Severity.WARNING, 11: Severity.CRITICAL}
    assert mark(row(gpu(1), weight=Severity.WARNING))[0] == "▲"
    assert mark(row(gpu(1), weight=Severity.INFO)) == (" ", "")
    assert mark(row(gpu(1, state="hung")))[0] == "✘"


@pytest.mark.parametrize(
    ("cells", "width", "words"),
    [
        ({"throttle_reasons": 0}, 22, "none"),
        ({"throttle_reasons": 1}, 22, "idle"),
        ({"throttle_reasons": 4}, 22, "power limit"),
        ({"throttle_reasons": 4, "power_capped_percent_1m": 34.2}, 22, "power limit 34 %"),
        ({"throttle_reasons": 4, "power_capped_percent_1m": 34.2}, 11, "power 34 %"),
        ({"throttle_reasons": 4, "power_capped_percent_1m": 34.2}, 8, "power"),
        ({"throttle_reasons": 0, "thermal_percent_1m": 12.0}, 22, "hot 12 %"),
        ({"throttle_reasons": 0x44}, 9, "power +1"),
        ({"throttle_reasons": 0x4000}, 22, "0x4000"),
        ({"throttle_reasons": 0x4000}, 7, "0x4000"),
        ({"throttle_reasons": Absent(state=CellState.HUNG, why="x")}, 7, "hung"),
    ],
)
def test_throttle_is_said_in_the_words_that_fit(cells: dict[str, Any], width: int, words: str) -> None:
    text, _ = throttle_cell(gpu(0, **cells), width)
    assert text == words


def test_the_newest_xid_of_a_gpu_is_found_once_by_uuid_or_bus() -> None:
    gpus = sample().gpus
    past = FakePast()
    index = NewestXids()
    first = index.read(past, gpus)
    assert {uuid: event.code for uuid, event in first.items()} == {gpus[5].uuid: 79}
    assert index.read(past, gpus) is first
    past.events.append(KernelEvent(t_ns=2, kind="xid", source="kmsg", code=31, bus_id="PCI:0000:18:00"))
    found = index.read(past, gpus)
    assert found[gpus[0].uuid].code == 31
    assert len(found) == 2
    past.events[:] = past.events[1:]
    past.events_dropped = 1
    assert index.read(past, gpus) is found
    assert index.read(FakePast(()), gpus) == {}


@pytest.mark.parametrize("text", ["0000:18:00.0", "00000000:18:00.0", "PCI:0000:18:00", "0000:18:00", "18:00.0"])
def test_a_bus_id_is_one_place_however_it_is_written(text: str) -> None:
    assert place(text) == (0, "18", "00")


@pytest.mark.parametrize("text", ["", "x", "zz:18:00.0:00", HOSTILE])
def test_what_is_no_bus_id_is_no_place(text: str) -> None:
    assert place(text) is None or place(text) not in {place(one.bus_id) for one in sample().gpus}


# --- findings, and what is around --------------------------------------------------------------------------------


def test_findings_are_marked_where_they_begin() -> None:
    page = overview(snapshot(), 79, 19)
    marked = [text_of(page.lines[y]) for y in sorted(page.marks)]
    assert [text.strip()[2:] for text in marked] == [finding.seen for finding in FINDINGS]
    assert "nvidia-smi drain -p 0000:68:00.0 -m 1" in page_text(page)
    assert "touches the whole node · needs: drained, root" in page_text(page)


def test_findings_come_before_processes_only_where_both_fit() -> None:
    for size, first in (((79, 19), "processes"), ((199, 45), "findings")):
        rows = [text.strip().split(" ")[0] for text in page_text(overview(snapshot(), *size)).splitlines()]
        heads = [word for word in rows if word in ("processes", "findings")]
        assert heads[0] == first


def test_without_a_driver_the_reason_and_the_host_are_shown() -> None:
    text = page_text(overview(snapshot(NO_GPU, findings=()), 79, 19))
    assert "no NVIDIA driver on this machine: libnvidia-ml.so.1 is not there" in " ".join(text.split())
    assert "23 % of 8 cores" in text
    assert "412.0 of 1,007.0 GiB" in text


def test_a_dead_sampler_is_said_before_the_first_sample_and_after() -> None:
    assert "the sampler died three times" in page_text(
        overview(Snapshot(sampler="the sampler died three times"), 79, 19)
    )
    stopped = page_text(overview(snapshot(sampler="the sampler died"), 79, 24))
    assert "the sampler died" in stopped
    assert "what is shown was read at " in stopped, "old numbers are not taken for new ones"


def test_accelerators_that_no_library_reads_are_named() -> None:
    one = sample(1, accelerators=(Accelerator(vendor="Intel", what="Gaudi", node="/dev/accel/accel0", count=8),))
    assert "8 × Intel Gaudi  /dev/accel/accel0, no library here reads it" in page_text(overview(snapshot(one), 99, 30))


def test_the_host_says_what_is_full_what_waits_and_what_its_jobs_are_held_back_by() -> None:
    full = host(
        cpu_pressure_percent=31.0, memory_pressure_percent=0.0, io_pressure_percent=4.0,
        disks=(DiskSample(path="/scratch", what="scratch", used_bytes=99 * GIB, total_bytes=100 * GIB),),
        network=(NetworkSample(name="eth0", speed_mbits_per_s=100_000, rx_bytes_per_s=1.2e9, tx_bytes_per_s=3e3),),
        ports=(PortSample(device="mlx5_0", port=1, state="DOWN", rate_gbits_per_s=400.0),),
        groups=(GroupSample(path="/a", job="4711.0", cpu_limit_cores=8.0, cpu_throttled_percent=34.0,
                            memory_used_bytes=60 * GIB, memory_limit_bytes=64 * GIB, oom_kills=2),),
    )  # fmt: skip
    text = page_text(overview(snapshot(sample(1, host=full)), 119, 45))
    for said in ("CPU 31 %", "disk 4 %", "99.0 of 100.0 GiB", "eth0   100 Gb/s   in 1.2G out 3.0k B/s",
                 "mlx5_0/1 DOWN   400 Gb/s", "4711.0   8 cores   CPU held back 34 %   memory 60.0 of 64.0 GiB",
                 "OOM kills 2"):  # fmt: skip
        assert said in text, text


# --- processes ---------------------------------------------------------------------------------------------------

MANY = tuple(process(500 - i, i, sm_percent=i * 10, cpu_percent=float(50 - i)) for i in range(4))


@pytest.mark.parametrize(
    ("sort", "pids"),
    [
        ("GPU memory", [497, 498, 499, 500]),
        ("SM %", [497, 498, 499, 500]),
        ("CPU", [500, 499, 498, 497]),
        ("host memory", [500, 499, 498, 497]),
        ("pid", [497, 498, 499, 500]),
        ("GPU", [500, 499, 498, 497]),
    ],
)
def test_processes_are_sorted(sort: str, pids: list[int]) -> None:
    part = process_rows(MANY, sample().gpus, 119, sort)
    assert [int(part.keys[y].split(":")[1]) for y in sorted(part.keys)] == pids
    assert f"by {sort}" in text_of(part.lines[0])
    assert set(SORTS) == {"GPU memory", "SM %", "CPU", "host memory", "pid", "GPU"}


def test_a_process_without_a_number_comes_last_whatever_the_order() -> None:
    unknown = process(
        1, 5, **dict.fromkeys(("gpu_memory_bytes", "sm_percent", "cpu_percent", "host_memory_bytes"), STALE)
    )
    for sort in SORTS[:4]:
        part = process_rows((unknown, *MANY), sample().gpus, 119, sort)
        assert part.keys[max(part.keys)] == process_key(unknown)


def test_processes_are_filtered_by_every_word_in_user_command_job_container_and_pid() -> None:
    one = process(41207, 0, container="ab12cd", job="4711.0")
    for wanted in ("", "MARA", "rank 0", "4711", "41207", "ab12", "mara ab12"):
        assert matches(one, wanted)
    assert not matches(one, "mara else")
    part = process_rows((one, process(9, 1, user="eve")), sample().gpus, 79, SORTS[0], "eve")
    assert "1 of 2 with “eve”" in text_of(part.lines[0])
    assert list(part.keys.values()) == [process_key(process(9, 1))]


def test_a_process_of_another_namespace_is_shown_by_what_is_known_of_it() -> None:
    text = page_text(overview(snapshot(), 79, 30))
    assert re.search(r"2 +4711 +– +11\.0 .*pid 4711", text)


@pytest.mark.parametrize("width", [59, 79, 119, 199])
def test_hostile_text_of_a_process_neither_breaks_a_line_nor_styles_it(width: int) -> None:
    bad = process(7, 0, user=HOSTILE, command=HOSTILE + "\n" + HOSTILE, job=HOSTILE, container=HOSTILE, kind=HOSTILE)
    part = process_rows((bad,), sample().gpus, width, SORTS[0], HOSTILE[:4])
    for line in part.lines:
        text = text_of(line)
        assert text.isprintable()
        assert cell_len(text) <= width
    assert {role for line in part.lines for _, role in line} <= {"", "dim", "title"}


# --- the line under it -------------------------------------------------------------------------------------------


def test_our_own_cost_is_said_and_that_we_hold_back() -> None:
    one = sample(
        8, cost_ms=23.4, backed_off=True, kernel_log=Absent(state=CellState.PERMISSION, why="needs CAP_SYSLOG")
    )
    text = text_of(cost_line(snapshot(one, rate_hz=1.98)))
    for said in ("sampler 0.2 % of a core", "driver 23.4 ms a tick", "2.0 Hz", "backed off", "perm: needs CAP_SYSLOG"):
        assert said in text
    assert "backed off" not in text_of(cost_line(snapshot()))
    assert cost_line(Snapshot()) == ()


def test_a_replay_says_where_it_is_when_that_was_and_how_fast() -> None:
    replay = FakeReplay(sample(), Health())
    replay.pace, replay.paused = 4.0, True
    text = text_of(replay_line(replay, 79))
    for said in ("12:34 of 40:00", "2026-09-21 14:25:54Z", "×4", "paused"):
        assert said in text
    assert cell_len(text) <= 79
    assert "paused" not in text_of(replay_line(FakeReplay(sample(), Health()), 79))


def test_xids_mark_their_row() -> None:
    page = overview(replace(snapshot(), xids={gpu(0).uuid: EVENTS[0]}), 79, 19)
    assert "XID 79" in gpu_lines(page)[0]


# --- cells that are made once --------------------------------------------------------------------------------------

OTHER = (
    7,
    1,
    4,
    0,
    97.5,
    "other",
    Absent(state=CellState.LOST, why="gone"),
    Absent(state=CellState.HUNG, why="x", age_s=9),
)


@pytest.mark.parametrize("column", [column for column in _COLUMNS if column.reads is not None], ids=lambda c: c.title)
def test_a_cell_that_is_kept_changes_with_everything_that_it_shows(column: Column[GpuRow]) -> None:
    """Whatever cell of a GPU changes what a column shows is among what the column says it reads."""
    assert column.reads is not None
    base = row(gpu(3))
    others = [row(gpu(3), weight=Severity.CRITICAL), row(gpu(3), xid=XID), row(gpu(3, state="lost"))]
    for name in GpuSample.__struct_fields__:
        if isinstance(getattr(base.gpu, name), (int, float, str, Absent)) and name not in ("age_s", "cost_ms"):
            others += [row(msgspec.structs.replace(base.gpu, **{name: value})) for value in _others(name)]
    seen = 0
    for other in others:
        for width in (column.width, column.most or column.width):
            if column.show(other, width) != column.show(base, width):
                assert column.reads(other) != column.reads(base)
                seen += 1
    assert seen, "a column that shows nothing of a GPU"


def _others(name: str) -> list[Any]:
    if name in ("state", "uuid", "bus_id", "vendor"):
        return ["lost"]
    return [value for value in OTHER if name != "index" or isinstance(value, int)]
