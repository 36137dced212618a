"""How the GPUs are connected: the matrix that `nvidia-smi topo -m` shows, with what its words mean."""

from __future__ import annotations

from typing import Final

from torchdoctor.paint import BLANK, Line, Span, fit, heading, line
from torchdoctor.text import safe
from torchdoctor.widgets.cells import cell_span
from torchprobes.samples import GpuSample, Sample

WORDS: Final = {
    "NV": "that many NVLinks",
    "PIX": "one PCIe switch between them",
    "PXB": "several PCIe switches, no host bridge",
    "PHB": "a PCIe host bridge: the CPU",
    "NODE": "host bridges within a NUMA node",
    "SYS": "between NUMA nodes: the slowest",
}
"""nvidia-smi topo: legend."""

_ROLES: Final = {"X": "dim", "SYS": "info", "NODE": "info", "PHB": "info"}


def topology_rows(sample: Sample, width: int) -> list[Line]:
    """The matrix, the NUMA node of each GPU, and a legend of the words in it."""
    gpus, matrix = sample.gpus, sample.topology
    if not matrix:
        why = "not read yet, or the driver does not tell" if gpus else "there is no GPU"
        return [heading("topology", why), *_places_only(gpus)]
    cell = max(4, max((len(word) for row in matrix for word in row), default=0) + 1)
    room = max(1, (width - 30) // cell)
    lines: list[Line] = [heading("topology", f"{len(gpus)} GPUs")]
    for begin in range(0, len(gpus), room):
        lines += _block(gpus, matrix, range(begin, min(begin + room, len(gpus))), cell)
        lines.append(BLANK)
    seen = {word for row in matrix for word in row}
    return [*lines, *(_legend(word) for word in WORDS if any(_is(one, word) for one in seen))]


def _is(word: str, kind: str) -> bool:
    return word.rstrip("0123456789") == kind


def _legend(word: str) -> Line:
    return line(("    " + fit("NV#" if word == "NV" else word, 7), "key"), (WORDS[word], "dim"))


def _block(gpus: tuple[GpuSample, ...], matrix: tuple[tuple[str, ...], ...], shown: range, cell: int) -> list[Line]:
    head = "".join(fit(str(gpus[at].index), cell, "right") for at in shown)
    rows: list[Line] = [line((" " * 8 + head + "   NUMA  CPUs", "dim"))]
    for place, gpu in enumerate(gpus):
        words = matrix[place] if place < len(matrix) else ()
        spans: list[Span] = [(f"  GPU {gpu.index:<2}", "title")]
        spans += [_word(words[at] if at < len(words) else "?", cell) for at in shown]
        rows.append((*spans, ("   ", ""), *_place(gpu)))
    return rows


def _word(word: str, cell: int) -> Span:
    return fit(safe(word, limit=8), cell, "right"), _ROLES.get(word, "")


def _place(gpu: GpuSample) -> tuple[Span, Span]:
    """The NUMA node and the CPUs next to it."""
    (node, node_role), (cpus, role) = cell_span(gpu.numa_node), cell_span(gpu.cpu_affinity)
    return (fit(node, 6), node_role), (cpus, role)


def _places_only(gpus: tuple[GpuSample, ...]) -> list[Line]:
    return [line((f"  GPU {gpu.index:<2}", "title"), ("  NUMA and CPUs ", "dim"), *_place(gpu)) for gpu in gpus]
