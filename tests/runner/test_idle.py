"""When a GPU counts as idle, and who counts as somebody else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gpu_nodes import GIB, gpu, node, stranger

from torchprobes.cells import Absent, CellState
from torchprobes.runner import idle
from torchprobes.runner.idle import Recent
from torchprobes.runner.visible import Seat
from torchprobes.samples import GpuSample, MigSample, Sample

UNREADABLE = Absent(state=CellState.PERMISSION, why="the driver denies it")
MIG = MigSample(index=0, uuid="MIG-a", gpu_instance=7, memory_used_bytes=0, memory_total_bytes=10 * GIB)


def recent(*samples: Sample) -> Recent:
    made = Recent()
    for sample in samples:
        made.add(sample)
    return made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, r"^$"),
        ({"utilization_percent": 4.9}, r"^$"),
        ({"utilization_percent": 5}, r"utilization 5 %, idle is under 5"),
        ({"utilization_percent": UNREADABLE}, r"utilization cannot be read \(the driver denies it\)"),
        ({"memory_used_bytes": GIB - 1}, r"^$"),
        ({"memory_used_bytes": GIB}, r"memory used .*idle is under 1,073,741,824"),
        ({"memory_total_bytes": 8 * GIB, "memory_used_bytes": GIB // 2}, r"memory used .*idle is under 429,496,730"),
        ({"memory_used_bytes": UNREADABLE}, r"memory used cannot be read"),
        ({"memory_total_bytes": UNREADABLE}, r"memory size cannot be read"),
        ({"state": "hung"}, r"GPU 0 is hung"),
        ({"age_s": 6.0}, r"last reading is 6 s old"),
    ],
)
def test_one_sample_speaks_against_it_or_not(changes: dict[str, Any], words: str) -> None:
    sample = node(gpu(**changes))
    assert re.search(words, idle.why_busy(Seat(gpu=sample.gpus[0]), sample))


def test_idle_is_what_was_idle_in_every_sample_of_three_seconds() -> None:
    seat = Seat(gpu=gpu())
    quiet = [node(at_s=at) for at in (10.0, 11.0, 12.0)]
    assert not recent(*quiet).whole, "two seconds are not three"
    assert recent(*quiet, node(at_s=13.0)).whole
    burst = recent(node(gpu(utilization_percent=90), at_s=10.0), *(node(at_s=at) for at in (11.0, 12.0, 13.0)))
    assert "utilization 90" in burst.why_busy(seat), "it was busy within the three seconds"
    burst.add(node(at_s=14.0))
    assert burst.why_busy(seat) == "", "and is forgotten when four have passed"
    assert burst.whole


def test_a_telemetry_that_stands_still_never_tells_enough() -> None:
    still = recent(*[node(at_s=10.0)] * 100)
    assert not still.whole
    assert not recent().whole


def test_a_gpu_that_is_gone_from_the_samples_is_not_idle() -> None:
    samples = recent(node(at_s=0.0), node(at_s=3.0))
    assert "no sample" in samples.why_busy(Seat(gpu=gpu(5)))


def test_a_process_is_told_with_its_job_and_graphics_are_none() -> None:
    sample = node(processes=(stranger(job="slurm 12.0"),))
    assert idle.why_busy(Seat(gpu=gpu()), sample) == "GPU 0 is used by pid 1 (mara, slurm 12.0, python train.py)"
    assert idle.why_busy(Seat(gpu=gpu()), node(processes=(stranger(kind="graphics"),))) == ""
    assert idle.why_busy(Seat(gpu=gpu()), node(processes=(stranger("GPU-another"),))) == ""


def test_a_mig_device_has_neighbours_that_do_not_matter_and_no_utilization_that_could_be_read() -> None:
    whole = gpu(mig_mode=1, migs=(MIG,), memory_used_bytes=70 * GIB)
    seat = Seat(gpu=whole, mig=MIG)
    beside = node(whole, processes=(stranger(gpu_instance=3),))
    assert idle.foreign(beside.processes, seat) == []
    assert idle.why_busy(seat, beside) == "", "the memory that counts is its own"
    assert len(idle.foreign([stranger(gpu_instance=7)], seat)) == 1
    assert len(idle.foreign([stranger()], seat)) == 1, "an unknown instance may be this one"
    real = gpu(mig_mode=1, migs=(MIG,), utilization_percent=UNREADABLE)
    assert "does not count as idle" in idle.why_busy(Seat(gpu=real, mig=MIG), node(real))
    assert "no part" in recent(node(gpu(), at_s=0.0)).why_busy(seat)


@pytest.mark.parametrize(
    ("mode", "exclusive", "forbidden"),
    [
        ("default", False, False),
        ("exclusive process", True, False),
        ("prohibited", False, True),
        (UNREADABLE, False, False),
    ],
)
def test_compute_modes(mode: object, exclusive: bool, forbidden: bool) -> None:
    seat = Seat(gpu=gpu(compute_mode=mode))
    assert idle.is_exclusive(seat) is exclusive
    assert bool(idle.forbidden(seat)) is forbidden


def test_in_a_container_as_many_unknown_pids_as_we_have_processes_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "in_initial_namespace", lambda: False)
    unknown = [2**22 + 1, 2**22 + 2, 2**22 + 3]
    assert idle.strangers(unknown, lambda _: False, 2) == unknown[2:]
    assert idle.strangers([1], lambda _: False, 2) == [1], "a pid that is known here is known not to be ours"
    monkeypatch.setattr(idle, "in_initial_namespace", lambda: True)
    assert idle.strangers(unknown, lambda pid: pid == unknown[0], 2) == unknown[1:]


def test_an_intruder_is_named() -> None:
    mine: GpuSample = gpu()
    found = [stranger(pid=77), stranger(pid=78)]
    assert idle.intruder(found, [Seat(gpu=mine)], lambda pid: pid == 77, 1).startswith("pid 78 (mara")
    assert idle.intruder(found, [Seat(gpu=mine)], lambda _: True, 2) == ""
