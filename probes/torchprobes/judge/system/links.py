"""What an all_reduce should reach on a sound machine, by GPU, number of them and size: data, with whose figure it is.

Bus bandwidth is size / time x 2(n-1)/n and does not depend on n (nccl-tests, doc/PERFORMANCE.md); a ring reaches 78 to
83 % of one direction of a link. With NVLink SHARP (NVLS) it passes the wire's speed, so a row holds for one algorithm
only. A machine without a row has no expectation: the next name in the series is another machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...model import Expectation, Readings
from ..reading import figure, text

ALARM_SHARE = 0.75
"""Below this share of its row a machine is degraded."""

FALLEN_SHARE = 0.25
"""Below this one the path has left NVLink: three A100 of which one pair crosses PCIe reach 20 of 208 GB/s."""

_MLE = "stas00/ml-engineering network/README.md"
_MEASURED = "measured by torchdoctor on 2 H200, whose links an H100 SXM shares: torch 2.11, NCCL 2.28.9"
_TESTS = "https://github.com/NVIDIA/nccl-tests/issues/"

_H100 = ("NVIDIA H100 80GB HBM3",)
_HOPPER = (*_H100, "NVIDIA H200")
_A100 = ("NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB")
_H100_PCIE = ("NVIDIA H100 PCIe",)


@dataclass(frozen=True, slots=True)
class Link:
    """One machine: the names of its GPU as the driver tells them, how many, a size, and bus bandwidth in GB/s.

    `large` stands for every size from 512 MiB on, where bandwidth has levelled out. `algorithm` is "NVLS" or "RING".
    """

    gpus: tuple[str, ...]
    count: int
    size: str
    gb_s: float
    algorithm: str
    source: str


LARGE = "large"
"""At 16 MiB, one all_reduce at a time between two events reaches 147 to 171 GB/s, a queue of them 222."""

LINKS: tuple[Link, ...] = (
    Link(_HOPPER, 2, "16 MiB", 171, "RING", _MEASURED),
    Link(_HOPPER, 2, "128 MiB", 285, "RING", _MEASURED),
    Link(_HOPPER, 2, LARGE, 328, "RING", _MEASURED),
    Link(("NVIDIA H200",), 4, LARGE, 363, "RING", _MLE),
    Link(("NVIDIA H200",), 5, LARGE, 364, "RING", _MLE),
    Link(("NVIDIA H200",), 5, LARGE, 414, "NVLS", _MLE),
    Link(("NVIDIA H200",), 6, LARGE, 365, "RING", _MLE),
    Link(("NVIDIA H200",), 6, LARGE, 436, "NVLS", _MLE),
    Link(("NVIDIA H200",), 7, LARGE, 366, "RING", _MLE),
    Link(("NVIDIA H200",), 7, LARGE, 460, "NVLS", _MLE),
    Link(("NVIDIA H200",), 8, LARGE, 367, "RING", _MLE),
    Link(("NVIDIA H200",), 8, LARGE, 475, "NVLS", _TESTS + "272"),
    Link(_H100, 8, LARGE, 370, "RING", _TESTS + "212"),
    Link(_H100, 8, LARGE, 480, "NVLS", _TESTS + "212"),
    Link(_H100_PCIE, 2, LARGE, 115, "RING", _TESTS + "194, a pair with an NVLink bridge"),
    Link(("NVIDIA B200",), 4, LARGE, 673, "RING", _MLE),
    Link(("NVIDIA B200",), 8, LARGE, 838, "NVLS", _MLE),
    Link(_A100, 8, "128 MiB", 177, "RING", _MLE),
    Link(_A100, 8, LARGE, 222.7, "RING", _MLE),
    Link(_A100, 2, LARGE, 208, "RING", _TESTS + "178"),
    Link(("NVIDIA GeForce RTX 2080 Ti",), 2, "128 MiB", 20, "RING", _TESTS + "44, a pair with an NVLink bridge"),
)
"""The figures of ddp.md 3.4."""

SIZES = {"16 MiB": "16 MiB", "128 MiB": "128 MiB", "1 GiB": LARGE}
"""The sizes that the payload times, and the class of each."""


def link(gpu: str, count: int, size: str, algorithm: str) -> Link | None:
    """The row of a machine; of two algorithms that of the one that ran, and the ring's where that was not told."""
    rows = [row for row in LINKS if gpu in row.gpus and (row.count, row.size) == (count, SIZES.get(size))]
    wanted = "NVLS" if algorithm.startswith("NVLS") else "RING"
    return next((row for row in rows if row.algorithm == wanted), None)


def algorithm(readings: Readings, size: str) -> str:
    """What NCCL's tuner chose for that size ("RING/SIMPLE"), "" if it was not told."""
    return text(readings, f"ddp.algorithm.{size}")


def rows(readings: Readings) -> tuple[tuple[Link, str], ...]:
    """The row of each size that was timed over NCCL, with the size's name; sizes without a row are left out."""
    gpu, found = text(readings, "ddp.gpu"), []
    for size in SIZES:
        speed = figure(readings, "busbw", size=size, backend="nccl")
        count = speed.labels.get("ranks", "") if speed else ""
        row = link(gpu, int(count), size, algorithm(readings, size)) if count.isdigit() and len(count) < 6 else None
        if row is not None:
            found.append((row, size))
    return tuple(found)


FIGURES = ("busbw", "busbw_queued")
"""One all_reduce at a time, and a queue of them, which no sound machine works off more slowly."""


def expected(readings: Readings) -> tuple[Expectation, ...]:
    """What bus bandwidth should be on this machine, and from where on it is degraded."""
    return tuple(
        Expectation(
            name=name,
            value=row.gb_s * 1e9,
            unit="B/s",
            limit=ALARM_SHARE * row.gb_s * 1e9,
            labels={"size": size, "ranks": str(row.count), "backend": "nccl"},
            source=f"{row.source} ({row.algorithm})",
        )
        for row, size in rows(readings)
        for name in FIGURES
        if figure(readings, name, size=size, backend="nccl") is not None
    )
