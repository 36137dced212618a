"""Status: at most 24 plain ASCII lines of 79, and never a 0 for what was not read."""

from __future__ import annotations

import random

import pytest

from torchdoctor.status import LINES, WIDTH, cell_text, gpu_line, status_lines
from torchprobes.cells import Absent, Cell, CellState
from torchprobes.model import Finding, Fix, Machine, Severity, Target
from torchprobes.samples import GpuSample, HostSample, Sample

HOSTILE = ("\x1b[2Jclear", "é漢字🙂" * 40, "", "a\nb\tc", "SECRET_TOKEN=hunter2", "x" * 500, "\u202eoverride")


def absent(state: CellState) -> Absent:
    return Absent(state=state, why="because")


def gpu(index: int, **cells: Cell) -> GpuSample:
    return GpuSample(index=index, uuid=f"GPU-{index}", bus_id="0", **cells)  # type: ignore[arg-type]


def sample(gpus: tuple[GpuSample, ...] = (), state: str = "ok", host: str = "node7") -> Sample:
    return Sample(
        t_ns=1, m_ns=1, driver="550.54", cuda="12.4", driver_state=state, gpus=gpus, processes=(),
        host=HostSample(host=host, cores=8),
    )  # fmt: skip


MACHINE = Machine(host="node7", boot_id="", kernel="", arch="x86_64", os="Debian", cpu="", cores=8, memory_bytes=1)


def finding(severity: Severity, seen: str = "hot") -> Finding:
    return Finding(id="TD-GPU-001", severity=severity, seen=seen, why="w", fix=Fix(command=f"cool {seen}"))


def lines_of(sample: Sample, findings: tuple[Finding, ...] = (), line: str = "no fault found") -> list[str]:
    return status_lines(MACHINE, sample, findings, line, None, "none yet")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_said_it_fits_and_is_plain(seed: int) -> None:
    dice = random.Random(seed)

    def cell() -> Cell:
        return dice.choice([0, 1e15, -1, "text", dice.choice(HOSTILE), *map(absent, CellState)])

    gpus = tuple(
        gpu(i, name=cell(), utilization_percent=cell(), memory_used_bytes=cell(), power_w=cell(), temperature_c=cell())
        for i in range(dice.randrange(17))
    )
    found = tuple(finding(dice.choice(list(Severity)), dice.choice(HOSTILE)) for _ in range(dice.randrange(12)))
    target = Target(python=dice.choice(HOSTILE), origin="PATH", torch=dice.choice([None, "", "2.6.0"]))
    lines = status_lines(MACHINE, sample(gpus), found, dice.choice(HOSTILE), target, dice.choice(HOSTILE))
    assert len(lines) <= LINES
    assert all(len(line) <= WIDTH and line.isascii() and line.isprintable() for line in lines)
    assert "hunter2" not in "".join(lines)
    assert any(line.startswith("verdict") for line in lines[-3:])


def test_an_absent_cell_says_why_and_is_never_0() -> None:
    line = gpu_line(gpu(0, utilization_percent=absent(CellState.HUNG), power_w=absent(CellState.NOT_SUPPORTED)))
    assert "hung" in line
    assert "n/s" in line
    assert "stale" in line
    assert " 0" not in line.removeprefix("gpu 0")


@pytest.mark.parametrize("state", CellState)
def test_each_state_has_its_word(state: CellState) -> None:
    assert cell_text(absent(state), "%") == state.value


def test_without_a_driver_it_says_so() -> None:
    assert "no NVIDIA driver on this machine" in "\n".join(lines_of(sample(state="no NVIDIA driver on this machine")))


def test_the_worst_findings_come_first_and_the_rest_is_counted() -> None:
    found = (*(finding(Severity.INFO, f"i{n}") for n in range(5)), finding(Severity.CRITICAL, "burning"))
    said = [line for line in lines_of(sample(), found) if line[0] in "x^-"]
    assert said[0].startswith("x critical: burning")
    assert said[-1].startswith("- and 3 more")


def test_sixteen_gpus_and_ten_findings_still_end_with_the_verdict() -> None:
    gpus = tuple(gpu(i) for i in range(16))
    long = "2 faults " + "and some words more " * 20
    lines = lines_of(sample(gpus), tuple(finding(Severity.WARNING) for _ in range(10)), long)
    assert len(lines) == LINES
    assert lines[-3].startswith("verdict 2 faults")
    assert lines[-1].endswith("...")
    assert any("and 8 more" in line for line in lines)
