"""Which GPUs a check takes, what runs where, and that it leaves when somebody comes."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from gpu_nodes import GIB, Telemetry, gpu, node, stranger
from harness import DEADLINE_S, finish, left_of, make, probe, until

from torchprobes.catalogue import PROBES, Probe
from torchprobes.model import Result, Target, Tier, Verdict
from torchprobes.runner import allocations, claim
from torchprobes.runner.allocations import Allocations
from torchprobes.runner.check import Check, Options
from torchprobes.runner.claim import Claim, Claimed, Wish, memory_limit
from torchprobes.runner.order import Device
from torchprobes.runner.snapshot import ProbeState
from torchprobes.runner.visible import Seat
from torchprobes.samples import MigSample, ProcessSample

HOST, DEVICE = {"place": "host"}, {"place": "device"}


@pytest.fixture(autouse=True)
def _no_batch_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocations, "read", Allocations)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def row(**fields: Any) -> Probe:
    return Probe("t.t", Tier.QUICK, "Is it?", "kit", 1.0, **fields)


def claimed(
    tmp_path: Path, telemetry: Telemetry, device: str = "auto", wanted: int = 1, force: bool = False, **environ: str
) -> Claim:
    """What a check that asks so comes to hold."""
    made = Claimed(Wish(device, wanted, force), Target(python="p", torch="2.9"), telemetry, tmp_path, environ)
    made.take()
    assert made.claim is not None
    return made.claim


def held(made: Claim) -> list[str]:
    return [seat.uuid for seat in made.seats]


def running(check: Check) -> bool:
    return all(view.state is ProbeState.RUNNING and view.pids for view in check.view().probes)


# --- choosing ---------------------------------------------------------------------------------------------------


def test_an_idle_gpu_is_taken_after_three_seconds_of_samples_and_only_once(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu(0), gpu(1))
    first = claimed(tmp_path, telemetry)
    assert held(first) == ["GPU-0aaaa"]
    assert telemetry.seconds >= 4.0, "one sample is not enough"
    second = claimed(tmp_path, Telemetry(gpu(0), gpu(1)))
    assert held(second) == ["GPU-1aaaa"]
    assert "held by another check" in claimed(tmp_path, Telemetry(gpu(0), gpu(1))).refusal
    first.release()
    assert held(claimed(tmp_path, Telemetry(gpu(0), gpu(1)))) == ["GPU-0aaaa"]


def test_a_burst_of_work_within_the_three_seconds_is_seen(tmp_path: Path) -> None:
    class Bursts(Telemetry):
        def __call__(self) -> Any:
            self.show(gpu(utilization_percent=99 if self.seconds == 2.0 else 0))
            return super().__call__()

    assert "utilization 99" in claimed(tmp_path, Bursts()).refusal


@pytest.mark.parametrize(
    ("telemetry", "words"),
    [
        (Telemetry(gpu(), processes=(stranger(),)), r"pid 1 \(mara, python train.py\)"),
        (Telemetry(gpu(utilization_percent=50.0)), "utilization 50"),
        (Telemetry(gpu(compute_mode="prohibited")), "compute mode is prohibited"),
    ],
)
def test_a_gpu_that_is_not_idle_is_refused_with_the_reason(tmp_path: Path, telemetry: Telemetry, words: str) -> None:
    assert re.search(words, claimed(tmp_path, telemetry).refusal)
    forced = claimed(tmp_path, telemetry, force=True)
    assert bool(forced.seats) is ("prohibited" not in words), "where nothing can run, force is of no use"


def test_a_device_that_nobody_can_watch_needs_force(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu())
    refused = claimed(tmp_path, telemetry, "npu:0").refusal
    assert refused.startswith("whether somebody uses npu:0 cannot be seen here")
    assert "--force" in refused
    forced = claimed(tmp_path, telemetry, "npu:0", force=True)
    assert forced.device(row()) == Device("npu:0")
    assert claimed(tmp_path, telemetry, "mps").device(row()) == Device("mps"), "it is the person's own"
    assert claimed(tmp_path, telemetry, "cpu").device(row()) == Device("cpu")


def test_intels_gpus_are_watched_and_go_by_their_own_name(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu(0, vendor="intel"), gpu(1, vendor="intel"))
    device = claimed(tmp_path, telemetry, "xpu:1").device(row())
    assert isinstance(device, Device)
    assert (device.name, device.gpus, [s.gpu.index for s in device.seats]) == ("xpu:1", (), [1])
    busy = Telemetry(gpu(0, vendor="intel"), processes=(stranger(),))
    assert "mara" in claimed(tmp_path, busy, "xpu").refusal


def test_a_number_is_torchs_and_is_not_guessed_among_different_gpus(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu(0), gpu(1), gpu(2))
    assert held(claimed(tmp_path, telemetry, "cuda:1", CUDA_VISIBLE_DEVICES="2,0")) == ["GPU-0aaaa"]
    assert claimed(tmp_path, telemetry, "cuda:7").refusal == "there is no cuda:7 here: no such GPU is visible"
    mixed = Telemetry(gpu(0, name="NVIDIA A10"), gpu(1))
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in claimed(tmp_path, mixed, "cuda:1").refusal
    assert held(claimed(tmp_path, mixed, "cuda:1", CUDA_DEVICE_ORDER="PCI_BUS_ID")) == ["GPU-1aaaa"]
    assert claimed(tmp_path, mixed, "auto", CUDA_VISIBLE_DEVICES="0").refusal.startswith("no GPU is chosen")


def test_a_build_for_the_cpu_takes_no_gpu(tmp_path: Path) -> None:
    target = Target(python="p", torch="2.13.0+cpu")
    made = Claimed(Wish("auto", 1, False), target, Telemetry(gpu()), tmp_path, {})
    made.take()
    assert made.claim == Claim()


def test_what_was_let_go_while_it_was_chosen_is_not_held(tmp_path: Path) -> None:
    made = Claimed(Wish("auto", 1, False), Target(python="p", torch="2.9"), Telemetry(gpu()), tmp_path, {})
    made.release()
    made.take()
    assert made.claim is not None
    assert made.claim.locks == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"jobs": {"7": {"user": "uid 12", "gpus": [0]}}}, "allocated to slurm job 7"),
        ({"jobs": {"7": {"user": "uid 12", "gpus": None}}}, "only its owner and root can read"),
        ({"pods": {"1b2c": ["GPU-0aaaa"]}}, "allocated to pod 1b2c"),
        ({"jobs": {"7": {"user": "uid 12", "gpus": [1]}}}, ""),
        ({"jobs": {"7": {"user": "uid 12", "gpus": None}}, "own": [0]}, ""),
    ],
)
def test_what_a_batch_system_gave_to_somebody_is_not_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], words: str
) -> None:
    monkeypatch.setattr(allocations, "read", lambda: Allocations(found))
    made = claimed(tmp_path, Telemetry(gpu()))
    assert bool(made.seats) is (not words)
    assert words in made.refusal


def test_allocations_that_cannot_be_read_are_not_none() -> None:
    assert "cannot be read (no answer in 3 s)" in Allocations(unread="no answer in 3 s").why_taken(Seat(gpu=gpu()))


# --- placing ----------------------------------------------------------------------------------------------------


def test_what_belongs_to_the_host_runs_on_the_cpu_with_the_environment_as_it_is(tmp_path: Path) -> None:
    refused = claimed(tmp_path, Telemetry(gpu(), processes=(stranger(),)))
    assert refused.device(row(**HOST)) == Device("cpu")
    assert "mara" in str(refused.device(row(**DEVICE)))
    assert claimed(tmp_path, Telemetry(gpu())).device(row(**HOST)).environ == {}  # type: ignore[union-attr]


def test_what_only_asks_about_a_device_is_told_which_though_others_are_on_it(tmp_path: Path) -> None:
    beside = row(place="beside")
    told = Device("cuda:0", gpus=("GPU-0aaaa",))
    busy = claimed(tmp_path, Telemetry(gpu(), processes=(stranger(),)))
    assert busy.device(beside) == told, "nothing is watched, and nobody's view is narrowed"
    assert not busy.on_gpu(beside)
    assert claimed(tmp_path, Telemetry(gpu())).device(beside) == told
    assert claimed(tmp_path, Telemetry(), "cpu").device(beside) == Device("cpu")
    assert (
        claimed(tmp_path, Telemetry(gpu()), "cuda:7").device(beside)
        == "there is no cuda:7 here: no such GPU is visible"
    )


def test_the_toolchain_is_looked_at_where_every_gpu_is_taken(tmp_path: Path) -> None:
    (toolchain,) = [probe for probe in PROBES if probe.name == "compile.toolchain"]
    busy = claimed(tmp_path, Telemetry(gpu(), processes=(stranger(),)))
    assert busy.device(toolchain) == Device("cuda:0", gpus=("GPU-0aaaa",))


def test_a_probe_that_needs_two_gpus_gets_two_or_is_skipped(tmp_path: Path) -> None:
    two = claimed(tmp_path, Telemetry(gpu(0), gpu(1)), wanted=2).device(row(gpus=2))
    assert isinstance(two, Device)
    assert two.environ == {"CUDA_VISIBLE_DEVICES": "GPU-0aaaa,GPU-1aaaa"}
    busy = Telemetry(gpu(0), gpu(1), processes=(stranger("GPU-1aaaa"),))
    other = tmp_path / "other"
    other.mkdir()
    assert claimed(other, busy, wanted=2).device(row(gpus=2)) == "it needs 2 idle GPUs, 1 is to be had"
    assert Claim().device(row(gpus=2)) == "it needs 2 idle GPUs, none is to be had"


def test_an_exclusive_gpu_takes_one_process_at_a_time(tmp_path: Path) -> None:
    exclusive = claimed(tmp_path, Telemetry(gpu(compute_mode="exclusive process")))
    assert isinstance(exclusive.device(row()), Device)
    assert "one at a time" in str(exclusive.device(row(helpers=True)))
    assert not exclusive.overlap(row(), row())
    assert exclusive.overlap(row(), row(**HOST))
    two = Telemetry(*(gpu(n, compute_mode="exclusive process") for n in range(2)))
    other = tmp_path / "other"
    other.mkdir()
    assert "one at a time" in str(claimed(other, two, wanted=2).device(row(launch="torchrun")))


def test_what_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(4))
    gpus = Claim(seats=[Seat(gpu=gpu())], seen=1)
    plain, timed, host = row(), row(timed=True), row(timed=True, place="host")
    assert gpus.overlap(timed, timed), "on a GPU its own lock keeps them apart"
    assert not gpus.overlap(plain, host), "timed on the few cores that the work for the GPU needs"
    assert not Claim().overlap(plain, timed)
    assert not gpus.overlap(plain, row(alone=True))
    assert not gpus.overlap(plain, row(timed=True, launch="torchrun"))
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: range(16))
    assert gpus.overlap(plain, host)
    assert not Claim().overlap(plain, host), "without a GPU all the others compute on the CPU"


def test_memory_is_four_gib_or_half_of_what_is_free() -> None:
    assert memory_limit(Seat(gpu=gpu())) == 4 * GIB
    assert memory_limit(Seat(gpu=gpu(memory_total_bytes=8 * GIB, memory_used_bytes=2 * GIB))) == 3 * GIB
    mig = MigSample(index=0, uuid="MIG-a", memory_used_bytes=GIB, memory_total_bytes=5 * GIB)
    assert memory_limit(Seat(gpu=gpu(), mig=mig)) == 2 * GIB


def test_a_mig_device_is_named_to_the_payload(tmp_path: Path) -> None:
    mig = MigSample(index=0, uuid="MIG-a", gpu_instance=7, memory_used_bytes=0, memory_total_bytes=10 * GIB)
    telemetry = Telemetry(gpu(mig_mode=1, migs=(mig,)))
    device = claimed(tmp_path, telemetry, "cuda:0", CUDA_VISIBLE_DEVICES="MIG-a").device(row())
    assert isinstance(device, Device)
    assert (device.name, device.environ) == ("cuda:0", {"CUDA_VISIBLE_DEVICES": "MIG-a"})


# --- in a check -------------------------------------------------------------------------------------------------


def test_a_gpu_that_somebody_uses_costs_the_device_probes_and_not_those_of_the_host(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu(), processes=(stranger(),))
    host = probe("exits_3", place="host")
    results = finish(make(tmp_path, probe("sound"), host, options=Options(), samples=telemetry))
    assert results["sound"].verdict is Verdict.SKIP
    assert "pid 1 (mara" in results["sound"].reason
    assert (results["exits_3"].verdict, results["exits_3"].device) == (Verdict.ERROR, "cpu")


def test_the_host_does_not_wait_for_the_choice_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The telemetry stands still: the choice takes all of its time, and the host's probe is done before."""
    monkeypatch.setattr(claim, "WAIT_S", 3.0)
    still = node(gpu())
    check = make(tmp_path, probe("sound"), probe("raises", place="host"), options=Options(), samples=lambda: still)
    check.start()
    until(lambda: check.view().probes[1].result, "the host's probe")
    assert check.view().probes[0].state is ProbeState.QUEUED
    assert check.wait(DEADLINE_S)
    (device, _) = check.view().probes
    assert device.result is not None
    assert "was not seen for 3 s" in device.result.reason


def test_force_uses_it_all_the_same_and_what_comes_last_comes_alone(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu(), processes=(stranger(),))
    rows = [probe("sound", alone=True), probe("raises"), probe("exits_3")]
    check = make(tmp_path, *rows, options=Options(force=True, slots=4), samples=telemetry)
    results = finish(check)
    assert (results["sound"].verdict, results["sound"].device) == (Verdict.PASS, "cuda:0")
    assert beside(results["sound"]) == ["not looked at: --force"]
    last = [check._log._path.read_text().splitlines()[-1]]
    assert '"fault.sound"' in last[0], "it was first in the order, and came last"


def beside(result: Result) -> list[str]:
    return [evidence.text for evidence in result.evidence if evidence.kind == "neighbours"]


def test_a_result_says_who_was_beside_it_on_its_gpu_and_nothing_without_one(tmp_path: Path) -> None:
    rows = [probe("sound"), probe("exits_3", place="host")]
    results = finish(make(tmp_path, *rows, options=Options(), samples=Telemetry(gpu())))
    assert [said.partition(",")[0] for said in beside(results["sound"])] == ["nobody else when it was placed"]
    assert beside(results["exits_3"]) == []


def test_who_came_meanwhile_costs_the_next_probe_no_start(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu())
    check = make(tmp_path, probe("hangs"), probe("sound"), options=Options(slots=1), samples=telemetry)
    check.start()
    until(lambda: check.view().probes[0].state is ProbeState.RUNNING, "the first probe")
    telemetry.show(gpu(), processes=(stranger(),))
    assert check.wait(DEADLINE_S)
    left, skipped = (view.result for view in check.view().probes)
    assert left is not None
    assert left.reason.startswith("left the GPU: pid 1 (mara")
    assert skipped is not None
    assert "who came after the check had begun" in skipped.reason
    assert not check._run.probe("fault.sound").exists()


def test_we_leave_within_a_second_and_our_own_neighbours_are_not_somebody(tmp_path: Path) -> None:
    telemetry = Telemetry(gpu())
    check = make(tmp_path, probe("hangs"), probe("hangs_deaf"), options=Options(slots=2), samples=telemetry)
    check.start()
    until(lambda: running(check), "two running probes")
    ours = tuple(ProcessSample(pid=pid, gpu_uuid="GPU-0aaaa") for v in check.view().probes for pid in v.pids)
    telemetry.show(gpu(), processes=ours)
    asked = telemetry.seconds
    until(lambda: telemetry.seconds > asked + 6, "some looks at the neighbours")
    assert running(check), "each other's processes are ours"
    telemetry.show(gpu(), processes=(*ours, stranger()))
    came = time.monotonic()
    assert check.wait(DEADLINE_S)
    print(f"left after {time.monotonic() - came:.2f} s")
    for view in check.view().probes:
        assert view.result is not None
        assert view.result.verdict is Verdict.SKIP
        assert "mara" in view.result.reason
        assert view.result.seconds < DEADLINE_S
    assert left_of(check.view().run) == []
