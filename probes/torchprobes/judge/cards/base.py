"""A card: what stands behind the id of a finding, readable offline with `torchdoctor explain ID`."""

from __future__ import annotations

from dataclasses import dataclass

from ...model import Fix


@dataclass(frozen=True, slots=True)
class Card:
    """What a finding means and what to do about it.

    `id` never changes its meaning (`TD-CMP-001`: CMP compile, CGR CUDA graphs, ENV, FWD forward, EXP export, GRF a
    graph alone, DDP, JOB launches, DTL DataLoader, GPU, HST host, RUN runner, BAS baseline). `title` is half a line,
    `why` the mechanism in a few sentences, `source` whose rule it is (a URL, a file of PyTorch, or "measured"),
    `versions` the PyTorch versions that it holds for, in words ("all", "2.9 and later").
    """

    id: str
    title: str
    why: str
    source: str
    fix: Fix | None = None
    versions: str = "all"
