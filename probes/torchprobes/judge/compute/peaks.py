"""What a GPU can reach: peak rates by exact device name, each with its source, and the share of them that is reached.

All rates are without structured sparsity: data sheets since Hopper print twice these numbers. A name is matched as a
whole, never by how it begins: an A10G is no A10, and an H100 PCIe is no H100 SXM. MIG slices, vGPUs, laptop parts and
cards that are not listed have no peak here, and so no verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TERA = 1e12
GIGA = 1e9

_MLE = "stas00/ml-engineering, compute/accelerator: theoretical peak without sparsity"
_TORCH = "torch/_inductor/analysis/device_info.py: data sheet"
_LIGHTNING = "lightning/fabric/utilities/throughput.py: data sheet"
_HALVED = "half of the sparse rate in torch/_inductor/analysis/device_info.py"
_FORMULA = "clock x tensor cores x FMA a clock x 2"
_MAMF = "stas00/ml-engineering, maximum achievable matrix-multiplication FLOPS"
_OURS = "measured by torchdoctor on an H100 and an H200 (torch 2.11, CUDA 13.0)"
_A10 = "sysrqmts.com: NVIDIA A10 PCIe"
_GFXSPEAK = "gfxspeak.com: RTX 4090 and RTX 3090 compared"
_EXPORT = "published comparison of export parts: the compute of the part that it derives from"
_H20 = "published comparison of H20 and H100"


@dataclass(frozen=True, slots=True)
class Rate:
    """One cell: FLOP/s, OP/s or B/s (for a share: 0 to 1), and who says so.

    A `recalled` one was not read anywhere while this table was made: it is shown, and never judged by.
    """

    value: float
    source: str
    recalled: bool = False


@dataclass(frozen=True, slots=True)
class Silicon:
    """What the 16-bit tensor peak is made of: boost clock in Hz, matrix units, FMA of each in a clock."""

    clock_hz: float
    units: int
    fma: int

    @property
    def peak(self) -> float:
        """Dense 16-bit FLOP/s with float32 accumulation: a fused multiply-add counts as two."""
        return self.clock_hz * self.units * self.fma * 2


@dataclass(frozen=True, slots=True)
class Part:
    """One GPU as sold. `pattern` matches its whole name as the driver tells it; `peak` is by number format or "memory".

    `reached` is the share of the peak that a large product, or a copy, really reaches on a sound one. `link` is its
    NVLink in B/s, both directions together as sold; 0 if it has none or none is known.
    """

    name: str
    pattern: str
    peak: Mapping[str, Rate]
    reached: Mapping[str, Rate] = field(default_factory=dict)
    silicon: Silicon | None = None
    link: float = 0.0


def _tera(source: str, recalled: bool = False, **rates: float) -> dict[str, Rate]:
    return {name: Rate(value * TERA, source, recalled) for name, value in rates.items()}


def _memory(source: str, giga: float, recalled: bool = False) -> dict[str, Rate]:
    return {"memory": Rate(giga * GIGA, source, recalled)}


def _share(source: str, **shares: float) -> dict[str, Rate]:
    return {name: Rate(value, source) for name, value in shares.items()}


_A100 = _tera(_MLE, fp32=19.5, tf32=156, bf16=312, fp16=312, int8=624)
_H100 = _tera(_MLE, fp32=67, tf32=494.5, bf16=989, fp16=989, fp8=1979, int8=1979)
_A100_SILICON = Silicon(1.41e9, 432, 256)
_H100_SILICON = Silicon(1.83e9, 528, 512)
_A100_REACHED = _share(_MAMF, bf16=0.869)
_HOPPER = _share(_MAMF, bf16=0.803) | _share(_OURS, fp16=0.72, fp32=0.76, tf32=0.72, fp8=0.61, int8=0.455, memory=0.89)
"""Products of 8192 cubed: fp16 656 to 747 TFLOP/s, fp32 51.6, tf32 356 to 371, fp8 1,200 (H100) and 1,425 (H200, which
has the same silicon), int8 901 to 955 TOP/s. In fp8 the best shape reaches 71 to 73 % on both (MAMF)."""

PARTS: tuple[Part, ...] = (
    Part(
        "RTX 3090", r"(NVIDIA )?GeForce RTX 3090",
        _tera(_GFXSPEAK, fp32=35.6) | _tera(_FORMULA, bf16=71.2, fp16=71.2)
        | _tera("as fp32 on this generation", True, tf32=35.6) | _memory(_GFXSPEAK, 936),
        silicon=Silicon(1.695e9, 328, 64),
    ),
    Part(
        "RTX 4090", r"(NVIDIA )?GeForce RTX 4090",
        _tera(_GFXSPEAK, fp32=82.6) | _tera(_FORMULA, bf16=165.2, fp16=165.2)
        | _tera("twice 16-bit", True, fp8=330.3, int8=660.6) | _tera("as fp32 on this generation", True, tf32=82.6)
        | _memory(_GFXSPEAK, 1008),
        silicon=Silicon(2.52e9, 512, 64),
    ),
    Part(
        "RTX 5090", r"NVIDIA GeForce RTX 5090",
        _tera("NVIDIA RTX Blackwell white paper", True, fp32=104.8, bf16=209.5, fp16=209.5, fp8=419)
        | _memory("NVIDIA RTX Blackwell white paper", 1792, True),
    ),
    Part(
        "A10", r"(NVIDIA )?A10",
        _tera(_A10, fp32=31.2) | _tera(_FORMULA, bf16=125, fp16=125)
        | _tera("data sheet", True, tf32=62.5, int8=250) | _memory(_A10, 600),
        silicon=Silicon(1.695e9, 288, 128),
    ),
    Part(
        "A10G", r"(NVIDIA )?A10G",
        _tera("data sheet", True, fp32=35, bf16=70, fp16=70) | _memory("baseten.co: A10 and A10G compared", 600),
    ),
    Part(
        "T4", r"(NVIDIA |Tesla )?T4",
        _tera(_LIGHTNING, fp32=8.1, fp16=65, int8=130) | _memory("Hugging Face hardware catalogue", 320),
        silicon=Silicon(1.59e9, 320, 64),
    ),
    Part(
        "V100 SXM2", r"(NVIDIA |Tesla )?V100-SXM2-(16|32)GB",
        _tera(_LIGHTNING, fp32=15.7, fp16=125) | _memory("Hugging Face hardware catalogue", 900),
        silicon=Silicon(1.53e9, 640, 64),
    ),
    Part("V100 PCIe", r"(NVIDIA |Tesla )?V100-PCIE-(16|32)GB",
         _tera(_LIGHTNING, fp32=14, fp16=112) | _memory("data sheet", 900, True)),
    Part("A100 SXM 40 GB", r"(NVIDIA )?A100-SXM4-40GB", _A100 | _memory(_TORCH, 1555),
         _A100_REACHED, _A100_SILICON, 600 * GIGA),
    Part("A100 SXM 80 GB", r"(NVIDIA )?A100-SXM4-80GB", _A100 | _memory(_TORCH, 2039),
         _A100_REACHED, _A100_SILICON, 600 * GIGA),
    Part("A100 PCIe 40 GB", r"(NVIDIA )?A100-PCIE-40GB", _A100 | _memory(_TORCH, 1555),
         _share(_MAMF, bf16=0.811), _A100_SILICON),
    Part("A100 PCIe 80 GB", r"(NVIDIA )?A100 80GB PCIe", _A100 | _memory("data sheet", 1935, True),
         _share(_MAMF, bf16=0.811), _A100_SILICON),
    Part("A800 SXM 80 GB", r"(NVIDIA )?A800-SXM4-80GB",
         _tera(_EXPORT, fp32=19.5, tf32=156, bf16=312, fp16=312, int8=624) | _memory(_EXPORT, 2039),
         silicon=_A100_SILICON, link=400 * GIGA),
    Part("A800 PCIe 80 GB", r"(NVIDIA )?A800 80GB PCIe",
         _tera(_EXPORT, fp32=19.5, tf32=156, bf16=312, fp16=312, int8=624) | _memory("data sheet", 1935, True),
         silicon=_A100_SILICON, link=400 * GIGA),
    Part("H100 SXM", r"NVIDIA H100 80GB HBM3", _H100 | _memory(_MLE, 3350), _HOPPER,
         _H100_SILICON, 900 * GIGA),
    Part("H100 PCIe", r"NVIDIA H100 PCIe",
         _tera(_MLE, fp32=51, tf32=378, bf16=756, fp16=756, fp8=1513, int8=1513) | _memory(_MLE, 2000)),
    Part("H100 NVL", r"NVIDIA H100 NVL",
         _tera("data sheet", True, fp32=60, tf32=417.5, bf16=835.5, fp16=835.5, fp8=1671, int8=1671)
         | _memory("data sheet", 3938, True), link=600 * GIGA),
    Part("H800 SXM", r"NVIDIA H800",
         {name: Rate(rate.value, _EXPORT) for name, rate in _H100.items()} | _memory(_EXPORT, 3350),
         silicon=_H100_SILICON, link=400 * GIGA),
    Part("H20", r"NVIDIA H20",
         _tera(_H20, fp32=44, tf32=74, bf16=148, fp16=148, int8=296) | _tera("data sheet", True, fp8=296)
         | _memory(_H20, 4000), link=900 * GIGA),
    Part("H200", r"NVIDIA H200", _H100 | _memory(_MLE, 4800), _HOPPER | _share(_OURS, fp8=0.72), _H100_SILICON,
         900 * GIGA),
    Part("GH200 480 GB", r"NVIDIA GH200 480GB", _H100 | _memory(_MLE, 4000), silicon=_H100_SILICON),
    Part(
        "L4", r"NVIDIA L4",
        _tera(_TORCH, fp32=30.3) | _tera(_HALVED, tf32=60, bf16=121, fp16=121, fp8=242.5, int8=242.5)
        | _memory("data sheet (device_info.py prints an H100's 3350)", 300, True),
        silicon=Silicon(2.04e9, 232, 128),
    ),
    Part("L40S", r"NVIDIA L40S",
         _tera(_MLE, fp32=91.6, tf32=183, bf16=362, fp16=362, fp8=733, int8=733) | _memory(_MLE, 864)),
    Part("B200", r"NVIDIA B200",
         _tera(_MLE, tf32=1125, bf16=2250, fp16=2250, fp8=4500, int8=4500)
         | _tera("data sheet", True, fp32=80) | _memory(_MLE, 8000),
         _share(_MAMF, bf16=0.776, fp8=0.763), link=1800 * GIGA),
    Part("GB200", r"NVIDIA GB200", _tera(_MLE, tf32=1250, bf16=2500, fp16=2500, fp8=5000, int8=5000)
         | _memory("data sheet", 8000, True), _share(_MAMF, bf16=0.729), link=1800 * GIGA),
    Part("MI300X", r"AMD Instinct MI300X",
         _tera(_TORCH, fp32=163.4, tf32=653.7, bf16=1307.4, fp16=1307.4, fp8=2614.9, int8=2614.9) | _memory(_MLE, 5300),
         _share(_MAMF, bf16=0.514), Silicon(2.1e9, 1216, 256)),
)  # fmt: skip

DEGRADED_BELOW = 0.85
"""Share of what a sound part reaches, below which it is `degraded` ..."""

FAIL_BELOW = 0.5
"""... and below which it is `fail`: no shape, driver or neighbour explains half of it."""

LEAST_REACHED = 0.5
"""What to expect of products where no share was measured: no part is known to reach less (MI300X: 51.4 % in bf16)."""

LEAST_COPIED = 0.75
"""The same of a copy in memory, read and write counted: streaming kernels get nearer to the peak than products do."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a figure should reach on a sound part: `value`, `degraded` below `limit`, `fail` below `fail` (None: never).

    `limit` is None where the cell is only recalled: then the number is shown and nothing is judged by it.
    """

    value: float
    limit: float | None
    fail: float | None
    source: str


def part(device_name: str) -> Part | None:
    """The part of exactly that name, as `torch.cuda.get_device_name` tells it; None if it is not listed."""
    name = " ".join(device_name.split())
    return next((p for p in PARTS if re.fullmatch(p.pattern, name)), None)


def reach(device_name: str, kind: str) -> Reach | None:
    """What `kind` (a number format, or "memory") should reach on that device; None if no peak is known.

    A share measured on such parts gives both limits. Without one only `degraded` is judged, and by the lowest share
    of all measured parts: a card that its power limit holds at half of its peak is no fault.
    """
    known = part(device_name)
    peak = None if known is None else known.peak.get(kind)
    if known is None or peak is None:
        return None
    share = known.reached.get(kind)
    words = f"{known.name}, peak by {peak.source}"
    if peak.recalled:
        return Reach(peak.value, None, None, f"{words} (recalled, not judged by)")
    if share is None:
        least = LEAST_COPIED if kind == "memory" else LEAST_REACHED
        value = peak.value * least
        source = f"{words}; no achievable share is known, {least:.0%} is taken"
        return Reach(value, value * FAIL_BELOW, None, source)
    value = peak.value * share.value
    source = f"{words}; {share.value:.1%} of it by {share.source}"
    return Reach(value, value * DEGRADED_BELOW, value * FAIL_BELOW, source)
