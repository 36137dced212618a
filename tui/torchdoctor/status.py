"""The node in at most 24 plain ASCII lines of 79 characters: `status`, TERM=dumb, and pipes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from torchprobes.cells import Absent, Cell
from torchprobes.model import Finding, Machine, Severity, Target
from torchprobes.reports.text import mask, plain
from torchprobes.samples import GpuSample, Sample

from .signs import to_ascii

WIDTH = 79
LINES = 24
_GPU_ROWS = 8
_FINDING_ROWS = 3
_VERDICT_ROWS = 3

_ORDER = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
_MARKS = {Severity.CRITICAL: "x", Severity.WARNING: "^", Severity.INFO: "-"}


def status_lines(
    machine: Machine, sample: Sample, findings: Sequence[Finding], line: str, target: Target | None, last: str
) -> list[str]:
    """The lines, most important last, where a terminal leaves the eye.

    `line` is the verdict line of the health rules, `last` says what the last check came to.
    """
    lines = [
        f"host    {machine.host}  {machine.os}  {machine.arch}  {machine.cores} cores",
        f"driver  {_driver(sample)}",
        f"target  {_target(target)}",
        f"load    {_host(sample)}",
        *_gpus(sample.gpus),
        *_findings(findings),
        f"check   {last}",
        *_verdict(line),
    ]
    return [_ascii(line) for line in lines]


def cell_text(cell: Cell, unit: str = "", scale: float = 1.0) -> str:
    """A cell as a number with its unit, or as the word for why there is none; never 0 for "unknown"."""
    if isinstance(cell, Absent):
        return cell.state.value
    if isinstance(cell, str):
        return cell
    return f"{cell / scale:.0f}{unit}"


def gpu_line(gpu: GpuSample) -> str:
    """One GPU as one line of at most 79 characters."""
    memory = f"{cell_text(gpu.memory_used_bytes, '', 1 << 20)}/{cell_text(gpu.memory_total_bytes, ' MiB', 1 << 20)}"
    power = f"{cell_text(gpu.power_w)}/{cell_text(gpu.power_limit_w, ' W')}"
    name = plain(cell_text(gpu.name)).removeprefix("NVIDIA ")[:18]
    used, heat = cell_text(gpu.utilization_percent, "%"), cell_text(gpu.temperature_c, "C")
    return f"gpu {gpu.index:<3} {name:18} {used:>5} {memory:>17} {power:>10} {heat:>5} {plain(gpu.state)[:8]}"


def _driver(sample: Sample) -> str:
    if sample.driver_state != "ok":
        return sample.driver_state
    return f"{cell_text(sample.driver)}  CUDA {cell_text(sample.cuda)}  {len(sample.gpus)} GPUs"


def _target(target: Target | None) -> str:
    if target is None:
        return "no interpreter with PyTorch was found: name one with --python"
    return f"torch {target.torch or 'unreadable'}  {target.python}  ({target.origin})"


def _host(sample: Sample) -> str:
    host = sample.host
    memory = (
        f"{cell_text(host.memory_used_bytes, '', 1 << 30)} of {cell_text(host.memory_total_bytes, ' GiB', 1 << 30)}"
    )
    shm = f"{cell_text(host.shm_used_bytes, '', 1 << 20)} of {cell_text(host.shm_total_bytes, ' MiB', 1 << 20)}"
    load = host.load_1m if isinstance(host.load_1m, (int, float)) else cell_text(host.load_1m)
    return f"{load}  memory {memory}  /dev/shm {shm}"


def _gpus(gpus: Sequence[GpuSample]) -> list[str]:
    lines = [gpu_line(gpu) for gpu in gpus[:_GPU_ROWS]]
    hidden = len(gpus) - len(lines)
    return [*lines, f"gpu     and {hidden} more: `torchdoctor gpus` shows them all"] if hidden else lines


def _findings(findings: Sequence[Finding]) -> list[str]:
    ranked = sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
    lines = []
    for finding in ranked[:_FINDING_ROWS]:
        lines.append(f"{_MARKS[finding.severity]} {finding.severity.value}: {finding.seen}  [{finding.id}]")
        if finding.fix:
            lines.append(f"  fix: {finding.fix.command}")
    hidden = len(ranked) - len(ranked[:_FINDING_ROWS])
    return [*lines, f"- and {hidden} more: `torchdoctor gpus` shows them all"] if hidden else lines


def _verdict(line: str) -> list[str]:
    """The one line that is wrapped, because it alone must be read whole."""
    text = to_ascii(plain(mask(line)))
    indent = " " * len("verdict ")
    return textwrap.wrap("verdict " + text, WIDTH, subsequent_indent=indent, max_lines=_VERDICT_ROWS, placeholder="...")


def _ascii(line: str) -> str:
    return plain(to_ascii(plain(mask(line))), WIDTH)
