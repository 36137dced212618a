"""What no probe covered: the end of every comparison, so that a green matrix does not lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple

from ...model import Result, Verdict
from .model import Platform
from .words import labels_in_words


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

_LONGEST: Final = 120


def areas(platforms: Sequence[Platform]) -> tuple[str, ...]:
    """Every area that was looked at on none of them, or only on some, a line each."""
    probed = [platform for platform in platforms if platform.kind == "check"]
    told = [line for area in AREAS if (probed or not area.probes) and (line := _line(area, probed))]
    return (*_only_looked_at(platforms), *told)


def _only_looked_at(platforms: Sequence[Platform]) -> Iterator[str]:
    places = [index for index, platform in enumerate(platforms) if platform.kind == "snapshot"]
    if places:
        who = labels_in_words(places, [platform.label for platform in platforms])
        yield f"every feature on {who}: a snapshot is passive, and no probe ran"


def _line(area: Area, platforms: Sequence[Platform]) -> str:
    if not area.probes:
        return f"{area.words}: {area.why}"
    missing = [index for index, platform in enumerate(platforms) if not _looked(area, platform)]
    if not missing:
        return ""
    if len(missing) < len(platforms):
        return f"{area.words}: not on {labels_in_words(missing, [p.label for p in platforms])}"
    return f"{area.words}: {_why_nowhere(area, platforms)}"


def _of_area(area: Area, platform: Platform) -> Iterator[Result]:
    return (result for result in platform.report.results if _belongs(area, result.name))


@lru_cache(maxsize=8192)
def _belongs(area: Area, probe: str) -> bool:
    return any(fnmatchcase(probe, pattern) for pattern in area.probes)


def _looked(area: Area, platform: Platform) -> bool:
    return any(result.verdict in _RAN for result in _of_area(area, platform))


def _why_nowhere(area: Area, platforms: Sequence[Platform]) -> str:
    """The reason that a probe gave which was asked and did not look; else how to ask."""
    asked = next((result for platform in platforms for result in _of_area(area, platform)), None)
    if asked is not None:
        reason = " ".join(asked.reason.split())
        return f"{asked.name} came to {asked.verdict.value}: {reason[:_LONGEST]}"
    return area.why or f"ask for it: torchdoctor check {' '.join(area.probes)}"


CACHED: Final = (_belongs,)
