"""Readings of sound runs of compute.*: the figures of a real H200 (torch 2.11.0+cu130, reference/probes.md 7).

GEMM 788, 672 and 51 TFLOP/s, the copies, the fingerprints and the attention times were measured there; what was not is
marked so where it stands.
"""

from __future__ import annotations

from sound import Facts

from torchprobes.model import Figure

H200: Facts = {"gpu.name": "NVIDIA H200", "gpu.capability": "9.0", "gpu.hip": False}

T = 1e12
G = 1e9


def figure(name: str, value: float, unit: str = "", n: int = 30, spread: float | None = None, **labels: str) -> Figure:
    """A figure with its unit and spread."""
    return Figure(name=name, value=value, unit=unit, n=n, spread=spread, labels=labels)


RATES = {"bf16": 788 * T, "fp16": 672 * T, "fp32": 51 * T}
ERRORS = {"bf16": 1.67e-3, "fp16": 2.1e-4, "fp32": 6e-7}  # of fp32 at 8192: not measured, at 2048 it is 2.2e-7

GEMM: Facts = {
    **H200,
    **{f"gemm.{dtype}.finite": True for dtype in RATES},
    "gemm.fp8": "not here",
    **{f"clocks.held.gemm.{dtype}": "software power cap" for dtype in RATES},  # not measured: usual under full power
}


def gemm_figures(**rates: float) -> tuple[Figure, ...]:
    """Rates and errors, with other `rates` over the sound ones."""
    told = {**RATES, **rates}
    rows = [figure("gemm_rate", value, "FLOP/s", spread=value * 0.01, dtype=d) for d, value in told.items()]
    rows += [figure("gemm_error", ERRORS[d], "relative", dtype=d) for d in told]
    rows += [
        figure("power_limit", 700, "W", when="gemm.bf16"),
        figure("power_limit_default", 700, "W", when="gemm.bf16"),
    ]
    rows += [figure("sm_clock", 1755, "MHz", when=f"gemm.{d}") for d in told]
    rows += [figure("sm_clock_max", 1980, "MHz", when=f"gemm.{d}") for d in told]
    return tuple(rows)


PRECISION: Facts = {**H200, "flag.float32_matmul_precision": "highest"}
FINGERPRINTS = {"as found": 2.2e-7, "highest": 2.2e-7, "high": 2.9e-4, "medium": 2.9e-4}


def precision_figures(**errors: float) -> tuple[Figure, ...]:
    """Fingerprints by setting ("as_found" for "as found"), full and TF32 products timed."""
    told = {**FINGERPRINTS, **{name.replace("_", " "): value for name, value in errors.items()}}
    rows = [figure("fp32_error", value, "relative", setting=setting) for setting, value in told.items()]
    return (
        *rows,
        figure("conv_error", 2.6e-4, "relative", setting="as found"),  # not measured: TF32 is cuDNN's default
        figure("fp32_us", 2700, "us", setting="highest"),
        figure("fp32_us", 400, "us", setting="high"),  # not measured
    )


OPS = ("gemm", "conv", "softmax", "layernorm", "attention")
NUMERICS: Facts = {
    **H200,
    "bf16.supported": True,
    "bf16.native": True,
    **{f"numerics.{op}.{d}.finite": True for op in OPS for d in ERRORS},
    **{f"numerics.{op}.{d}.repeated": "same" for op in OPS for d in ERRORS},
}


def numerics_figures(**errors: float) -> tuple[Figure, ...]:
    """Errors of every operation and format, 0.21 epsilons; `gemm_bf16=...` sets one of them."""
    sound = {"bf16": 1.67e-3, "fp16": 2.1e-4, "fp32": 3e-7}
    told = {f"{op}_{d}": value for op in OPS for d, value in sound.items()} | errors
    return tuple(
        figure("numerics_error", value, "relative", op=name.split("_")[0], dtype=name.split("_")[1])
        for name, value in told.items()
    )


BANDWIDTH: Facts = {**H200, "copy.device": "right", "copy.pageable": "right", "copy.pinned": "right"}


def bandwidth_figures(
    device: float = 4298 * G, out: float = 55.3 * G, generation: int = 5, lanes: int = 16
) -> tuple[Figure, ...]:
    """Copies on the device, to it and back, and the link they ran over."""
    return (
        figure("memory_peak_told", 4814 * G, "B/s"),
        figure("copy_rate", device, "B/s", spread=device * 0.005, kind="device"),
        figure("copy_rate", 22.2 * G, "B/s", kind="to device", memory="pageable"),
        figure("copy_rate", 14.6 * G, "B/s", kind="to host", memory="pageable"),
        figure("copy_rate", out, "B/s", spread=0.01 * out, kind="to device", memory="pinned"),
        figure("copy_rate", 55.3 * G, "B/s", kind="to host", memory="pinned"),
        figure("pcie_generation", generation, when="copy"),
        figure("pcie_width", lanes, when="copy"),
        figure("pcie_generation_max", 5, when="copy"),
        figure("pcie_width_max", 16, when="copy"),
    )


WAYS = ("0 to 1", "1 to 0")
P2P: Facts = {**H200, **{f"p2p.{way}.peer": True for way in WAYS}}


def p2p_figures(rate: float = 390 * G, links: int = 18) -> tuple[Figure, ...]:
    """Both ways over NVLink; the rate is no measured one."""
    rows = [figure("nvlinks", links, "links", gpu=gpu) for gpu in ("0", "1")]
    for way in WAYS:
        rows += [figure("p2p_compared", 2e8, "bytes", way=way), figure("p2p_wrong", 0, "copies", way=way)]
        rows += [figure("p2p_rate", rate, "B/s", spread=rate * 0.01, way=way)]
    return tuple(rows)


SDPA: Facts = {
    **H200,
    "sdpa.causal-64.flash": "ran",
    "sdpa.causal-64.efficient": "ran",
    "sdpa.causal-64.cudnn": "ran",
    "sdpa.causal-64.math": "ran",
    "sdpa.causal-64.default": "cudnn",
}
SDPA_US = {"cudnn": 100.0, "flash": 156.0, "efficient": 331.0, "math": 5080.0, "default": 100.0}


def sdpa_figures(**us: float) -> tuple[Figure, ...]:
    """Times and errors of every back end on the causal case."""
    told = {**SDPA_US, **us}

    def row(name: str, value: float, unit: str, backend: str) -> Figure:
        return figure(name, value, unit, backend=backend, case="causal-64", dtype="bfloat16")

    rows = [row("sdpa_us", value, "us", b) for b, value in told.items()]
    return (*rows, *(row("sdpa_error", 2.2e-3, "relative", b) for b in told))


AUTOGRAD: Facts = {
    **H200,
    **{f"autograd.gradcheck.{name}": "right" for name in ("linear", "conv", "attention", "layernorm", "custom")},
    "autograd.detector": True,
    **{f"autograd.step.{d}.{what}": 0 for d in ("fp32", "bf16") for what in ("missing", "not_finite", "zero")},
}
AUTOGRAD_FIGURES = (
    figure("gradients", 10, "gradients", step="fp32"),
    figure("gradients", 10, "gradients", step="bf16"),
)

_REPEATED = ("matmul", "index_add", "cumsum", "convolution backward", "training")
DETERMINISM: Facts = {
    **H200,
    "determinism.seed": "same",
    **{f"determinism.{mode}.{name}": "same" for mode in ("default", "deterministic") for name in _REPEATED},
}

SOUND: dict[str, tuple[Facts, tuple[Figure, ...]]] = {
    "compute.gemm": (GEMM, gemm_figures()),
    "compute.precision": (PRECISION, precision_figures()),
    "compute.numerics": (NUMERICS, numerics_figures()),
    "compute.bandwidth": (BANDWIDTH, bandwidth_figures()),
    "compute.p2p": (P2P, p2p_figures()),
    "compute.sdpa": (SDPA, sdpa_figures()),
    "compute.autograd": (AUTOGRAD, AUTOGRAD_FIGURES),
    "compute.determinism": (DETERMINISM, ()),
}
"""By probe: facts and figures of a sound run on an H200."""
