"""A check of nearly everything, and an earlier one, for pictures of the Probes pane."""

from __future__ import annotations

import msgspec
from fakes import REPORT, RESULTS, VIEWS, FakeCheck, World, view

from torchprobes.model import (
    Evidence,
    Expectation,
    Fact,
    Figure,
    Finding,
    Fix,
    Report,
    Result,
    Scope,
    Severity,
    Tier,
    Verdict,
    worst,
)

_SHEET = "the card's data sheet x the best share measured"
_COMMAND = (
    "cd /runs/1/probes/compute.gemm && env PYTHONUNBUFFERED=1 HF_TOKEN=hf_aaaaaaaaaaaaaaaaaaaaaaaa "
    "TORCHDOCTOR_EVENTS=- /opt/train/bin/python -B /opt/torchdoctor/payloads/bootstrap.py gemm.py"
)


def rate(dtype: str, tflops: float) -> Figure:
    return Figure(
        name="gemm_rate", value=tflops * 1e12, unit="FLOP/s", n=20, spread=tflops * 5e9, labels={"dtype": dtype}
    )


def held(dtype: str, tflops: float, limit: float) -> Expectation:
    return Expectation(name="gemm_rate", value=tflops * 1e12, limit=limit * 1e12, unit="FLOP/s",
                       labels={"dtype": dtype}, source=_SHEET)  # fmt: skip


def ended(name: str, verdict: Verdict, reason: str, **more: object) -> Result:
    base = Result(name=name, group=name.partition(".")[0], tier=Tier.STANDARD, device="cuda:0", verdict=verdict,
                  reason=reason, seconds=1.2)  # fmt: skip
    return msgspec.structs.replace(base, **more)


GEMM = ended(
    "compute.gemm", Verdict.DEGRADED, "bf16: 512 TFLOP/s, below 675 TFLOP/s", seconds=6.1,
    figures=(rate("fp16", 672), rate("bf16", 512), rate("fp32", 51),
             Figure(name="launch_us", value=12.5, unit="us", n=1000, spread=0.2),
             Figure(name="gemm_us", value=2147.3, unit="us", n=20, spread=3.0, labels={"dtype": "bf16"}),
             Figure(name="gpu_memory", value=150.0e9, unit="B")),
    expectations=(held("bf16", 794, 675), held("fp16", 794, 675),
                  Expectation(name="launch_us", value=8.0, unit="us", limit=20.0, higher_is_better=False,
                              source="measured on an idle card")),
    facts=(Fact(name="clocks", value="1095 of 1980 MHz", evidence="under load"),),
    findings=(Finding(
        id="TD-CPT-001", severity=Severity.WARNING, seen="bf16 reaches 512 TFLOP/s; a sound card gives 675 or more",
        why="The power limit of this GPU is half of the usual one, so its clock falls under load.",
        fix=Fix(command="nvidia-smi -i 0 -pl 700", scope=Scope.GPU, needs=("root",)), source=_SHEET,
    ),),
    evidence=(Evidence(kind="kernel", text="a bf16 kernel of cuBLAS ran"),),
    command=_COMMAND, log="probes/compute.gemm/stderr.log",
)  # fmt: skip

_WELL = (
    "env.packages env.jupyter env.wheel env.abi env.python env.variables cuda.driver cuda.available cuda.arch "
    "cuda.libraries cuda.cudnn compute.numerics compute.launch compute.autograd compile.toolchain compile.cache "
    "export.modes system.cpu system.disk"
)

ENDED = (
    *RESULTS, GEMM, *(ended(name, Verdict.PASS, "works, and its answer was checked") for name in _WELL.split()),
    ended("cuda.toolkits", Verdict.DEGRADED, "/usr/local/cuda is 12.4, torch was built with 13.0"),
    ended("data.csv", Verdict.SKIP, "pandas is not installed in the target"),
)  # fmt: skip


def _before(result: Result) -> Result:
    """The same probe in the run before: all was well."""
    if result.name == "cudagraph.replay":
        return ended(result.name, Verdict.PASS, "1 graph launch a replay, recomputed from new input")
    if result.name == "compute.gemm":
        faster = tuple(rate(dtype, value) for dtype, value in (("fp16", 745), ("bf16", 779), ("fp32", 51)))
        return msgspec.structs.replace(result, verdict=Verdict.PASS, reason="every type is within 10 % of the best",
                                       figures=(*faster, *result.figures[3:]), findings=())  # fmt: skip
    return result


def earlier() -> Report:
    """The run before."""
    results = tuple(_before(result) for result in ENDED)
    return msgspec.structs.replace(REPORT, results=results, started="2026-01-01T22:04:05Z",
                                   verdict=worst([result.verdict for result in results]))  # fmt: skip


def world() -> World:
    """A check that has nearly ended, and two runs before it."""
    views = (*(view(r.name, result=r, folder=f"/runs/1/probes/{r.name}") for r in ENDED), *VIEWS[len(RESULTS) :])
    return World(check=FakeCheck(views=views), earlier=(("/runs/0", earlier()), ("/runs/00", REPORT)))
