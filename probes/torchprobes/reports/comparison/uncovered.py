"""What no probe covered: the end of every comparison, so that a green matrix does not lie."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from ...model import Verdict
from .model import Platform


class Area(NamedTuple):
    """Something that a job needs. `probes` are those that look at it; () where none of torchdoctor's does."""

    words: str
    why: str
    probes: tuple[str, ...] = ()


AREAS: Final[tuple[Area, ...]] = (
    Area("data path", "reading the job's own data, decoding and augmenting it, is not what these probes read"),
    Area("storage", "throughput and metadata of shared file systems: only room and rights are looked at"),
    Area("network between nodes", "every probe runs on one node"),
    Area("collectives of several nodes", "launch the job with `torchdoctor launch` to see them"),
    Area("long runs", "heat, leaks and clocks over hours: the longest probe takes minutes"),
    Area("memory errors over time", "counters are read once, no memory was tested by patterns"),
    Area("the user's own model", "give it: --entry MODULE:F or PATH.py:F", ("*.entry",)),
    Area("a captured graph", "give it: --graph FILE", ("graph.run",)),
    Area("GPU products and their speed", "", ("compute.gemm",)),
    Area("memory bandwidth", "", ("compute.bandwidth",)),
    Area("links between GPUs", "", ("compute.p2p", "ddp.allreduce")),
    Area("attention kernels", "", ("compute.sdpa",)),
    Area("number formats", "", ("compute.numerics", "compute.precision")),
    Area("torch.compile", "", ("compile.default", "compile.reduce-overhead", "compile.max-autotune")),
    Area("torch.export", "", ("export.roundtrip",)),
    Area("CUDA graphs", "", ("cudagraph.replay",)),
    Area("ranks on one node", "", ("ddp.init", "ddp.allreduce", "ddp.training")),
    Area("DataLoader workers", "", ("data.loader",)),
    Area("image decoding", "", ("data.image",)),
    Area("reading tables", "", ("data.csv",)),
    Area("serving", "", ("serving.fastapi",)),
)
"""Areas without a probe come first: they are always uncovered."""

_RAN: Final = (Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL)
"""Verdicts of probes that looked."""


def areas(platforms: Sequence[Platform]) -> tuple[str, ...]:
    """Every area that was looked at on none of them, or only on some, a line each."""
    ran = [_ran(platform) for platform in platforms]
    lines = (_line(area, [_looked(area, each) for each in ran], platforms) for area in AREAS)
    return tuple(line for line in lines if line)


def _ran(platform: Platform) -> frozenset[str]:
    return frozenset(result.name for result in platform.report.results if result.verdict in _RAN)


def _looked(area: Area, ran: frozenset[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in area.probes for name in ran)


def _line(area: Area, looked: Sequence[bool], platforms: Sequence[Platform]) -> str:
    if all(looked) and looked:
        return ""
    from .words import labels_in_words

    why = area.why or f"ask for it: torchdoctor check {' '.join(area.probes)}"
    if not any(looked):
        return f"{area.words}: {why}"
    missing = [index for index, each in enumerate(looked) if not each]
    return f"{area.words}: not on {labels_in_words(missing, [p.label for p in platforms])}"
