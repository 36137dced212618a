"""A report against a known good node's: what is lost or worse beyond the noise, and what could not be held."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import planted
import pytest
from report_material import MACHINE, make_run, report, result

from torchprobes.judge.cards import card
from torchprobes.model import Expectation, Fact, Figure, Report, Severity, Verdict
from torchprobes.reports import baseline, exit_codes, write
from torchprobes.reports.against import in_words
from torchprobes.reports.baseline import FEWER, LOST, WORSE, judged
from torchprobes.rundir import RunDir

GPU = "NVIDIA H200"


def rate(value: float, spread: float | None = None, n: int = 20, name: str = "gemm_rate") -> Figure:
    return Figure(name=name, value=value, unit="FLOP/s", n=n, spread=spread, labels={"dtype": "bf16"})


def on_gpu(*figures: Figure, gpu: str = GPU, gpus: int = 1, verdict: Verdict = Verdict.PASS, **more: object) -> Report:
    """A report of one probe on a GPU."""
    made = report((result("compute.gemm", verdict, **{"device": "cuda:0", "figures": figures, **more}),))
    rows = tuple({"index": index, "uuid": f"GPU-{index}", "name": gpu} for index in range(gpus))
    return planted.with_machine(made, gpus=rows)


def ids(found: Report) -> list[tuple[str, str]]:
    """(probe, card) of each finding that the baseline makes; "" for the machine's."""
    told = [("", finding) for finding in found.findings]
    told += [(each.name, finding) for each in found.results for finding in each.findings]
    return [(name, finding.id) for name, finding in told if finding.id.startswith("TD-BAS")]


# --- figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "here", "worse"),
    [
        (rate(100e12, 0.1e12), rate(97.5e12, 0.1e12), False),  # within 3 %
        (rate(100e12, 0.1e12), rate(96.5e12, 0.1e12), True),
        (rate(100e12, 3e12), rate(92.5e12, 3e12), False),  # within twice the joint spread: 8.5 %
        (rate(100e12, 3e12), rate(90.0e12, 3e12), True),
        (rate(100e12, 0.1e12), rate(140e12, 0.1e12), False),  # better is no finding
        (rate(100e12, None), rate(92e12, None), False),  # no spread was recorded
        (rate(100e12, None), rate(80e12, None), True),
        (rate(100e12, 0.1e12), rate(0.0, 0.1e12), True),
    ],
)
def test_a_figure_is_worse_beyond_the_recorded_noise(good: Figure, here: Figure, worse: bool) -> None:
    found = judged(on_gpu(here), on_gpu(good))
    assert ids(found) == [("compute.gemm", WORSE)] * worse
    assert found.results[0].verdict is (Verdict.DEGRADED if worse else Verdict.PASS)
    assert found.verdict is found.results[0].verdict
    assert exit_codes.of_report(found) == (exit_codes.DEGRADED if worse else exit_codes.OK)


@pytest.mark.parametrize(("unit", "value", "worse"), [("us", 20.0, True), ("us", 5.0, False), ("FLOP/s", 5.0, True)])
def test_what_is_worse_is_said_by_the_unit(unit: str, value: float, worse: bool) -> None:
    good, here = (Figure(name="x_rate", value=v, unit=unit, n=50, spread=0.01) for v in (10.0, value))
    assert ids(judged(on_gpu(here), on_gpu(good))) == [("compute.gemm", WORSE)] * worse


def test_a_count_is_compared_exactly() -> None:
    good, here = (Figure(name="graph_breaks", value=v, unit="breaks") for v in (0.0, 1.0))
    found = judged(on_gpu(here), on_gpu(good))
    assert ids(found) == [("compute.gemm", WORSE)]
    assert ids(judged(on_gpu(good), on_gpu(here))) == []


def test_what_it_says_names_both_sides_and_the_tolerance() -> None:
    found = judged(on_gpu(rate(80e12, 1e11)), on_gpu(rate(100e12, 1e11)))
    (finding,) = found.results[0].findings
    assert "80 TFLOP/s" in finding.seen
    assert "100 TFLOP/s" in finding.seen
    assert "-20%, tolerance 3%" in finding.seen
    assert finding.fix == card(WORSE).fix
    assert found.results[0].reason == f"behind the baseline: {finding.seen}"


def test_unlike_devices_are_compared_by_shares_and_the_rest_is_told() -> None:
    expected = Expectation(name="gemm_rate", value=100e12, unit="FLOP/s")
    good = on_gpu(rate(90e12, 1e11), Figure(name="x_us", value=1.0, unit="us"), gpu="A", expectations=(expected,))
    same = msgspec.structs.replace(expected, value=50e12)
    here = on_gpu(rate(44e12, 1e11), Figure(name="x_us", value=9.0, unit="us"), gpu="B", expectations=(same,))
    found = judged(here, good)
    assert ids(found) == []
    assert found.baseline is not None
    assert (found.baseline.figures, found.baseline.uncompared) == (
        1,
        ("compute.gemm: 1 of 2 figures, of A there and B here",),
    )
    slow = judged(on_gpu(rate(20e12, 1e11), gpu="B", expectations=(same,)), good)
    assert ids(slow) == [("compute.gemm", WORSE)]


# --- features ----------------------------------------------------------------------------------------------------

STANDINGS = [
    (Verdict.PASS, Verdict.PASS, False), (Verdict.PASS, Verdict.DEGRADED, True), (Verdict.PASS, Verdict.SKIP, True),
    (Verdict.PASS, Verdict.FAIL, True), (Verdict.DEGRADED, Verdict.FAIL, True), (Verdict.SKIP, Verdict.PASS, False),
    (Verdict.FAIL, Verdict.FAIL, False), (Verdict.PASS, Verdict.UNSURE, False), (Verdict.DEGRADED, Verdict.PASS, False),
]  # fmt: skip


@pytest.mark.parametrize(("good", "here", "lost"), STANDINGS)
def test_a_feature_is_lost_when_there_is_less_of_it(good: Verdict, here: Verdict, lost: bool) -> None:
    found = judged(on_gpu(verdict=here), on_gpu(verdict=good))
    assert ids(found) == [("compute.gemm", LOST)] * lost
    assert found.results[0].verdict is here


def test_a_slower_way_is_a_loss_and_a_faster_one_is_none() -> None:
    flash, math = (
        report((result("compute.sdpa", facts=(Fact(name="sdpa.bf16.default", value=way),)),))
        for way in ("flash", "math")
    )
    assert ids(judged(math, flash)) == [("compute.sdpa", LOST)]
    assert ids(judged(flash, math)) == []
    (finding,) = judged(math, flash).results[0].findings
    assert finding.seen == "sdpa bf16: math here, flash in the baseline"


def test_fewer_gpus_of_a_kind_are_critical_and_another_kind_is_none() -> None:
    found = judged(on_gpu(gpus=7), on_gpu(gpus=8))
    assert ids(found) == [("", FEWER)]
    assert found.findings[0].severity is Severity.CRITICAL
    assert found.findings[0].seen == f"7 of 8 {GPU}"
    assert exit_codes.of_report(found) == exit_codes.FAIL
    assert ids(judged(on_gpu(gpus=8), on_gpu(gpus=7))) == []
    assert ids(judged(on_gpu(gpu="A", gpus=1), on_gpu(gpu="B", gpus=8))) == []


# --- what was not held -------------------------------------------------------------------------------------------


def test_what_could_not_be_held_against_it_is_told() -> None:
    good = report((result("a.asked"), result("a.broken", Verdict.ERROR), result("a.fine"), result("a.only")))
    here = report((result("a.asked"), result("a.broken"), result("a.fine", Verdict.ERROR), result("a.new")))
    found = judged(here, good, "good.json")
    assert found.baseline is not None
    assert found.baseline.uncompared == (
        "a.broken: error in the baseline", "a.fine: error here", "a.new: the baseline did not ask it"
    )  # fmt: skip
    assert (found.baseline.probes, found.baseline.where) == (1, "good.json")
    words = in_words(found.baseline)
    assert words.startswith("node7 2026-01-02T03:04:05Z good.json, itself error: 0 figures of 1 probes; not held")


BUSY = ("no idle GPU: cuda:0 has pid 7 of ann (--force uses it all the same)", "left the GPU: pid 7 of ann came")


@pytest.mark.parametrize("reason", BUSY, ids=["busy", "left"])
def test_a_probe_that_made_room_for_others_has_lost_nothing(reason: str) -> None:
    busy, free = on_gpu(verdict=Verdict.SKIP, reason=reason), on_gpu()
    for here, good, where in ((busy, free, "here"), (free, busy, "there")):
        found = judged(here, good)
        assert ids(found) == []
        assert found.baseline is not None
        assert found.baseline.uncompared == (f"compute.gemm: others used the device {where}",)
    assert ids(judged(on_gpu(verdict=Verdict.SKIP, reason="needs a GPU"), free)) == [("compute.gemm", LOST)]


# --- real reports ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", planted.REAL)
def test_a_real_report_is_as_good_as_itself(name: str) -> None:
    real = planted.real(name)
    found = judged(real, real)
    assert ids(found) == []
    assert msgspec.structs.replace(found, baseline=None) == real
    assert found.baseline is not None
    assert found.baseline.figures > 50


PLANTS: dict[str, tuple[Callable[[Report], Report], set[tuple[str, str]]]] = {
    "power limit": (planted.power_limit, {("compute.gemm", LOST), ("compute.gemm", WORSE)}),
    "library path": (
        planted.library_path,
        {("compute.gemm", LOST), ("compute.gemm", WORSE), ("cuda.libraries", LOST)},
    ),
    "no P2P": (
        planted.p2p_disabled,
        {("compute.p2p", LOST), ("compute.p2p", WORSE), ("ddp.allreduce", LOST), ("ddp.allreduce", WORSE)},
    ),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_was_planted_is_found_and_nothing_else(plant: str) -> None:
    edit, expected = PLANTS[plant]
    good = planted.two_gpus()
    assert set(ids(judged(edit(good), good))) == expected


# --- kept in the run ---------------------------------------------------------------------------------------------


def held(tmp_path: Path, good: Report, value: float) -> RunDir:
    here = result("compute.gemm", figures=(rate(value, 1e10),))
    run = make_run(tmp_path, ("compute.gemm",), (here,), dead=True)
    run.change(baseline="/good.json")
    write.record_machine(run, MACHINE, ())
    baseline.keep(run.path, good)
    return run


def test_a_run_is_judged_against_its_baseline_wherever_it_is_read(tmp_path: Path) -> None:
    good = report((result("compute.gemm", figures=(rate(100e12, 1e10),)),))
    run = held(tmp_path, good, 50e12)
    for found in (write.collect(run), write.write(run), write.collect(run)):
        assert ids(found) == [("compute.gemm", WORSE)]
        assert found.baseline is not None
        assert found.baseline.where == "/good.json"
    assert b"TD-BAS-002" in run.report.read_bytes()
    assert b"TD-BAS-002" not in run.results.read_bytes()


BROKEN: dict[str, bytes | None] = {
    "empty": b"", "cut": b"{", "deep": b"[" * 50_000, "of a later schema": b'{"schema": 99}', "gone": None
}  # fmt: skip


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_baseline_that_is_gone_or_broken_judges_nothing_and_says_so(content: bytes | None, tmp_path: Path) -> None:
    run = held(tmp_path, report(), 50e12)
    (run.path / baseline.FILE).unlink()
    if content is not None:
        (run.path / baseline.FILE).write_bytes(content)
    found = write.collect(run)
    assert ids(found) == []
    assert found.baseline is not None
    assert "nothing was judged against it" in in_words(found.baseline)
