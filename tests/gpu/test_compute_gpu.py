"""compute.* on a real GPU, and its clock beside three others. Run by hand with `pytest -m gpu -s`.

Every timing is taken five times in turns with `triton.testing.do_bench`, the kernel times of torch's profiler and a
plain loop, for the same shapes and cache state, and must agree within 3 %, or within twice the spread of the five.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import payload_modules
import pytest
from payload_process import Said, run_payload

from torchprobes.judge.compute import peaks
from torchprobes.judge.reading import number, text
from torchprobes.model import Verdict
from torchprobes.quantity import quantity

pytestmark = pytest.mark.gpu

ROUNDS = 5
AGREES = 0.03
LIMIT = {"memory_limit_bytes": 4 << 30}
NAMES = ("gemm", "precision", "numerics", "bandwidth", "sdpa", "autograd", "determinism")

# --- the payloads --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cuda() -> Any:
    """Torch with a CUDA device, else a skip."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return torch


@pytest.fixture(scope="module")
def said(cuda: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """Every probe once, one after the other, with the seconds that it took."""
    folder, done = tmp_path_factory.mktemp("compute"), {}
    for name in NAMES:
        begin = time.monotonic()
        done[name] = run_payload(folder / name, f"compute.{name}", "cuda:0", more=LIMIT)
        print(f"\n== compute.{name}: {time.monotonic() - begin:.1f} s with the import of torch")
        show(done[name])
    return done


def show(said: Said) -> None:
    """All figures, facts and the judgement, for the person who runs this."""
    for f in said.readings.figures:
        spread = "" if f.spread is None else f" ± {f.spread / (f.value or 1):.1%}"
        value = f"{f.value:.3g}" if f.unit == "relative" else quantity(f.value, f.unit)
        print(f"   {f.name} {value}{spread} n={f.n} {f.labels}")
    for fact in said.readings.facts:
        print(f"   {fact.name} = {fact.value!r} ({fact.evidence[:160]})")
    print(f"   -> {said.judgement.verdict.value}: {said.judgement.reason}")
    for finding in said.judgement.findings:
        print(f"      {finding.id} {finding.severity.value}: {finding.seen}")
    for e in said.judgement.expectations:
        limit = "no limit" if e.limit is None else f"limit {quantity(e.limit, e.unit)}"
        print(f"      expected {e.name} {e.labels}: {quantity(e.value, e.unit)}, {limit} [{e.source}]")


def told(said: dict[str, Said], name: str) -> Said:
    run = said[name]
    assert run.readings.outcome.ending == "ended", (run.judgement, run.stderr[-3000:])
    assert not run.readings.outcome.skip, run.judgement
    return run


def test_products_are_right_and_known_formats_have_rates(said: dict[str, Said]) -> None:
    run = told(said, "gemm")
    known = peaks.part(text(run.readings, "gpu.name"))
    assert run.judgement.verdict in ((Verdict.PASS, Verdict.DEGRADED) if known else (Verdict.UNSURE,)), run.judgement
    formats = {f.labels["dtype"] for f in run.readings.figures if f.name == "gemm_rate"}
    assert {"bf16", "fp16", "fp32", "tf32"} <= formats
    capability = text(run.readings, "gpu.capability")
    if capability >= "8.9":
        assert {"fp8", "int8"} <= formats
    clocks = [f for f in run.readings.figures if f.name == "sm_clock"]
    assert clocks or run.readings.fact("nvml"), "neither clocks nor the reason why there are none"


def test_bf16_is_faster_than_float32_and_tf32_between(said: dict[str, Said]) -> None:
    readings = told(said, "gemm").readings
    rates = [number(readings, "gemm_rate", dtype=d) or 0 for d in ("fp32", "tf32", "bf16")]
    assert rates == sorted(rates), rates
    assert (number(readings, "gemm_error", dtype="fp32") or 1) < 1e-5
    assert 1e-5 < (number(readings, "gemm_error", dtype="tf32") or 0) < 1e-3


def test_the_fingerprint_follows_the_settings(said: dict[str, Said]) -> None:
    run = told(said, "precision")
    assert run.judgement.verdict is Verdict.PASS, run.judgement
    assert (number(run.readings, "fp32_error", setting="highest") or 1) < 1e-6
    assert 1e-4 < (number(run.readings, "fp32_error", setting="high") or 0) < 8e-4


def test_tf32_by_the_environment_is_seen(cuda: Any, tmp_path: Path) -> None:
    run = run_payload(tmp_path / "run", "compute.precision", "cuda:0", {"NVIDIA_TF32_OVERRIDE": "0"}, more=LIMIT)
    show(run)
    assert "TD-CPT-025" in run.ids, run.judgement


@pytest.mark.parametrize("name", ["numerics", "autograd", "determinism"])
def test_numbers_are_right(said: dict[str, Said], name: str) -> None:
    run = told(said, name)
    assert run.judgement.verdict is Verdict.PASS, (run.judgement, run.stderr[-3000:])


def test_bytes_move_and_the_link_was_read_under_load(said: dict[str, Said]) -> None:
    run = told(said, "bandwidth")
    assert run.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED, Verdict.UNSURE), run.judgement
    for kind in ("to device", "to host"):
        pageable = number(run.readings, "copy_rate", kind=kind, memory="pageable")
        pinned = number(run.readings, "copy_rate", kind=kind, memory="pinned")
        assert pageable
        assert pinned
    link = number(run.readings, "pcie_generation", when="copy") or text(run.readings, "pcie.current_link_speed")
    assert link, "the link was read neither by NVML nor from /sys"


def test_the_default_attention_is_fused_and_reasons_are_told(said: dict[str, Said]) -> None:
    run = told(said, "sdpa")
    assert run.judgement.verdict is Verdict.PASS, (run.judgement, run.stderr[-3000:])
    assert text(run.readings, "sdpa.causal-64.default") in ("flash", "cudnn", "efficient")
    refused = run.readings.fact("sdpa.mask.flash")
    assert refused is not None
    assert refused.value == "not usable"
    assert "attn_mask" in refused.evidence
    assert "disabled" not in refused.evidence


def test_bytes_arrive_unchanged_at_another_gpu(cuda: Any, tmp_path: Path) -> None:
    if cuda.cuda.device_count() < 2:
        run = run_payload(tmp_path / "run", "compute.p2p", "cuda:0", more=LIMIT)
        assert (run.judgement.verdict, run.judgement.reason) == (Verdict.SKIP, "needs two GPUs, this process sees 1")
        pytest.skip("needs two GPUs")
    run = run_payload(tmp_path / "run", "compute.p2p", "cuda:0", more=LIMIT)
    show(run)
    assert run.judgement.verdict in (Verdict.PASS, Verdict.DEGRADED), (run.judgement, run.stderr[-3000:])
    for way in ("0 to 1", "1 to 0"):
        assert number(run.readings, "p2p_wrong", way=way) == 0
        assert (number(run.readings, "p2p_compared", way=way) or 0) > 1e8
        assert number(run.readings, "p2p_rate", way=way)


# --- beside independent clocks ---------------------------------------------------------------------------------------


@dataclass
class Side:
    """One way to time the same thing: its seconds of every round."""

    name: str
    seconds: Callable[[], float]
    rounds: list[float] = field(default_factory=list)

    @property
    def middle(self) -> float:
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        return (max(self.rounds) - min(self.rounds)) / 2 / self.middle


def by_profiler(torch: Any, step: Callable[[], object], before: Callable[[], object], runs: int = 20) -> float:
    """Seconds a call that the device worked on it, by torch's profiler; what `before` queues is left out."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(runs):
            before()
            step()
        torch.cuda.synchronize()
    on_device = [e for e in profiler.events() if "CUDA" in str(e.device_type)]
    ours = [e for e in on_device if not any(word in e.name for word in ("Memset", "FillFunctor"))]
    assert ours, "the profiler saw no kernel"
    return sum(e.time_range.elapsed_us() for e in ours) / runs / 1e6


def by_loop(torch: Any, step: Callable[[], object], calls: int = 50) -> float:
    """Seconds a call of a plain loop with one wait at its end."""
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(calls):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / calls


def by_triton(step: Callable[[], object]) -> float:
    """Seconds a call by `triton.testing.do_bench`: events around each call, the cache flushed before it."""
    testing = pytest.importorskip("triton.testing")
    return float(testing.do_bench(step, warmup=200, rep=300, return_mode="median")) / 1e3


def compare(title: str, work: float, unit: str, sides: list[Side], heat: Callable[[], object] | None = None) -> None:
    """Five rounds in turns; the first side is ours, and every other must agree with it.

    A product in half precision meets the power limit: `heat` brings the GPU to the same clocks before every side.
    """
    for turn in range(ROUNDS):
        for side in sides if turn % 2 else sides[::-1]:
            if heat is not None:
                heat()
            side.rounds.append(side.seconds())
    ours, failed = sides[0], []
    print(f"\n{title}")
    for side in sides:
        difference = ours.middle / side.middle - 1
        limit = max(AGREES, 2 * max(ours.spread, side.spread))
        rate = quantity(work / side.middle, unit, 4)
        print(
            f"   {side.name:<22} {side.middle * 1e6:10.1f} us  {rate:>14}  spread {side.spread:.2%}"
            f"  ours/this {difference:+.2%} (limit {limit:.2%})"
        )
        if abs(difference) > limit:
            failed.append(f"{side.name}: {difference:+.2%}, limit {limit:.2%}")
    assert not failed, (title, failed)


@pytest.fixture
def measure(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The payloads' own clock, in this process."""
    yield payload_modules.load(monkeypatch, "measure")
    cuda.cuda.empty_cache()


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_gemm_time_agrees_with_independent_clocks(cuda: Any, measure: Any, dtype: str) -> None:
    where, size = cuda.device("cuda", 0), 8192 if dtype == "bfloat16" else 4096
    a, b = (cuda.randn(size, size, device=where, dtype=getattr(cuda, dtype)) for _ in range(2))
    out = cuda.empty_like(a)
    flush = measure.flusher(cuda, where)

    def step() -> object:
        return cuda.mm(a, b, out=out)

    def ours(before: Callable[[], object] | None) -> float:
        return float(measure.device_times(cuda, where, step, budget_s=0.3, before=before).typical)

    work = 2.0 * size**3
    flushed = [
        Side("torchdoctor", lambda: ours(flush)),
        Side("triton do_bench", lambda: by_triton(step)),
        Side("torch.profiler", lambda: by_profiler(cuda, step, flush)),
    ]

    def heat() -> object:
        return by_loop(cuda, step, 200)

    compare(f"GEMM {size} {dtype}, cache flushed", work, "FLOP/s", flushed, heat)
    warm = [Side("torchdoctor", lambda: ours(None)), Side("plain loop", lambda: by_loop(cuda, step, 200))]
    compare(f"GEMM {size} {dtype}, cache warm", work, "FLOP/s", warm, heat)


def test_copy_time_on_the_device_agrees_with_independent_clocks(cuda: Any, measure: Any) -> None:
    where, count = cuda.device("cuda", 0), 1 << 30
    source = cuda.randint(0, 1 << 30, (count // 4,), dtype=cuda.int32, device=where)
    target = cuda.empty_like(source)

    def step() -> object:
        return target.copy_(source)

    sides = [
        Side("torchdoctor", lambda: float(measure.device_times(cuda, where, step, budget_s=0.3).typical)),
        Side("triton do_bench", lambda: by_triton(step)),
        Side("torch.profiler", lambda: by_profiler(cuda, step, lambda: None)),
        Side("plain loop", lambda: by_loop(cuda, step, 100)),
    ]
    compare("copy of 1 GiB on the device, read and write", 2.0 * count, "B/s", sides)


@pytest.mark.parametrize("way", ["to device", "to host"])
@pytest.mark.parametrize("memory", ["pinned", "pageable"])
def test_host_copy_time_agrees_with_independent_clocks(cuda: Any, measure: Any, way: str, memory: str) -> None:
    where, count = cuda.device("cuda", 0), 256 << 20
    there = cuda.empty(count, dtype=cuda.uint8, device=where)
    here = cuda.ones(count, dtype=cuda.uint8, pin_memory=memory == "pinned")
    source, target = (here, there) if way == "to device" else (there, here)
    pinned = memory == "pinned"

    def step() -> object:
        return target.copy_(source, non_blocking=pinned)

    def ours() -> float:
        if pinned:
            return float(measure.device_times(cuda, where, step, budget_s=0.3, warm_s=0.1).typical)
        return float(measure.host_times(cuda.cuda.synchronize, step, budget_s=0.3, warm_s=0.1).typical)

    sides = [Side("torchdoctor", ours), Side("plain loop", lambda: by_loop(cuda, step, 20))]
    if pinned:
        sides.append(Side("torch.profiler", lambda: by_profiler(cuda, step, lambda: None, runs=10)))
    compare(f"copy of 256 MiB {way}, {memory}", float(count), "B/s", sides)
