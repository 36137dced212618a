"""What is wrong with a GPU in a word or two: its mark, its faults, and what holds its clocks down."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from torchdoctor.signs import SEVERITIES
from torchdoctor.text import safe
from torchdoctor.widgets.cells import cell_span
from torchprobes.cells import THROTTLE_REASONS, Absent, Cell, number, throttle_words
from torchprobes.model import Finding, Severity
from torchprobes.samples import GpuSample, KernelEvent

if TYPE_CHECKING:  # headless commands say the same words, and load no screen
    from torchdoctor.interfaces import HistoryLike
    from torchdoctor.paint import Span

_OF_GPU: Final = re.compile(r"GPU (\d+)\b")
_WEIGHTS: Final = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class GpuRow:
    """A GPU and what is known about it beside its sample: its worst finding, its newest XID, what was before."""

    gpu: GpuSample
    weight: Severity | None = None
    xid: KernelEvent | None = None
    history: HistoryLike | None = None


def gpu_rows_of(
    gpus: Iterable[GpuSample],
    findings: Iterable[Finding],
    xids: Mapping[str, KernelEvent],
    history: HistoryLike | None,
) -> list[GpuRow]:
    """All GPUs with what is known of each."""
    weights = worst_of_gpus(findings)
    return [GpuRow(gpu, weights.get(gpu.index), xids.get(gpu.uuid), history) for gpu in gpus]


def worst_of_gpus(findings: Iterable[Finding]) -> dict[int, Severity]:
    """Index of a GPU -> the worst that was found on it; a finding about a GPU begins with its name."""
    worst: dict[int, Severity] = {}
    for finding in findings:
        named = _OF_GPU.match(finding.seen)
        if named:
            index = int(named[1])
            worst[index] = max(worst.get(index, Severity.INFO), finding.severity, key=_WEIGHTS.index)
    return worst


# --- the mark ----------------------------------------------------------------------------------------------------


def mark(row: GpuRow) -> Span:
    """A sign before its number, a blank where nothing was found."""
    if row.gpu.state not in ("ok", "starting"):
        return SEVERITIES[Severity.CRITICAL]
    if row.weight is not None and row.weight is not Severity.INFO:
        return SEVERITIES[row.weight]
    return " ", ""


# --- faults ------------------------------------------------------------------------------------------------------

_ACTIONS: Final = {1: "reset", 2: "reboot", 3: "drain", 4: "drain, reset"}
"""nvml.h, nvmlDeviceGpuRecoveryAction_t: what the driver wants done, other than nothing."""


def _action(gpu: GpuSample) -> str:
    cell = gpu.recovery_action
    if isinstance(cell, str):
        return "" if cell.lower() in ("none", "") else f"needs {safe(cell, limit=40)}"
    value = number(cell)
    return f"needs {_ACTIONS.get(int(value), f'action {value:.0f}')}" if value else ""


def _counted(name: str, word: str) -> Callable[[GpuSample], str]:
    def say(gpu: GpuSample) -> str:
        value = number(getattr(gpu, name))
        return f"{word} {value:,.0f}" if value else ""

    return say


def _set(name: str, word: str) -> Callable[[GpuSample], str]:
    return lambda gpu: word if getattr(gpu, name) in _YES else ""


_YES: Final = (1, "yes", "pending", "true", "on")


def _links(gpu: GpuSample) -> str:
    active, links = number(gpu.nvlinks_active), number(gpu.nvlinks)
    return f"NVLink {active:.0f}/{links:.0f}" if active is not None and links and active < links else ""


def _lanes(gpu: GpuSample) -> str:
    width, most = number(gpu.pcie_width), number(gpu.pcie_width_max)
    return f"PCIe x{width:.0f}" if width is not None and most and width < most else ""


_FAULTS: Final[tuple[tuple[Callable[[GpuSample], str], str], ...]] = (
    (_action, "fail"),
    (_counted("ecc_uncorrected_volatile", "ECC"), "fail"),
    (_set("remap_failure", "remap failed"), "fail"),
    (_set("unrepairable_memory", "HBM bad"), "fail"),
    (_set("remap_pending", "remap"), "warn"),
    (_set("retired_pending", "retire"), "warn"),
    (_set("repair_pending", "repair"), "warn"),
    (_links, "warn"),
    (_lanes, "warn"),
)
"""What a row says of the part, worst first: words, or "" where there is nothing."""

FAULT_CELLS: Final = (
    "state", "recovery_action", "ecc_uncorrected_volatile", "remap_failure", "unrepairable_memory", "remap_pending",
    "retired_pending", "repair_pending", "nvlinks_active", "nvlinks", "pcie_width", "pcie_width_max",
)  # fmt: skip
"""What of a sample makes its faults."""

_TOLD_BY: Final = ("ecc_uncorrected_volatile", "recovery_action", "remap_failure")
"""Cells without which "none" would be a guess."""


def faults(row: GpuRow) -> Span:
    """The worst fault in a word, and how many more; "none" only where it was looked for."""
    gpu = row.gpu
    if gpu.state != "ok":
        return safe(gpu.state, limit=40), "dim" if gpu.state == "starting" else "fail"
    found = [(text, role) for say, role in _FAULTS if (text := say(gpu))]
    if row.xid is not None:
        code = f"XID {row.xid.code}" if row.xid.code is not None else "off the bus"
        found.insert(0, (code, "fail" if row.weight is Severity.CRITICAL else "warn"))
    if found:
        return found[0][0] + (f" +{len(found) - 1}" if len(found) > 1 else ""), found[0][1]
    if row.weight is not None and row.weight is not Severity.INFO:
        return row.weight.value, SEVERITIES[row.weight][1]
    cells: list[Cell] = [getattr(gpu, name) for name in _TOLD_BY]
    if all(isinstance(cell, Absent) for cell in cells):
        return cell_span(cells[0])
    return "none", "dim"


# --- throttle ----------------------------------------------------------------------------------------------------

_SHORT: Final = {
    0x1: "idle", 0x2: "clocks", 0x4: "power", 0x8: "hw slow", 0x10: "sync", 0x20: "sw hot", 0x40: "hw hot",
    0x80: "brake", 0x100: "display",
}  # fmt: skip
"""A throttle reason in at most seven cells."""

_SHARES: Final = (("power_capped_percent_1m", "power"), ("thermal_percent_1m", "hot"), ("brake_percent_1m", "brake"))


def throttle(cell: Cell) -> Span:
    """What holds the clocks down, in words."""
    if isinstance(cell, Absent):
        return cell_span(cell)
    text = throttle_words(cell) if isinstance(cell, int) else safe(str(cell), limit=80)
    return ("none", "dim") if text in ("", "none", "0") else (text, "dim" if text == "idle" else "warn")


def throttled_share(gpu: GpuSample) -> tuple[float, str] | None:
    """The largest share of the last minute in which clocks were held down, and by what; None if it is not known."""
    known = [(value, word) for name, word in _SHARES if (value := number(getattr(gpu, name))) is not None]
    return max(known) if known else None


def throttle_cell(gpu: GpuSample, width: int) -> Span:
    """Now, and the share of the last minute, in as many words as fit."""
    text, role = throttle(gpu.throttle_reasons)
    share = throttled_share(gpu)
    held = f" {share[0]:.0f} %" if share is not None and share[0] >= 0.5 else ""
    if held and role == "dim" and share is not None:
        return (f"{share[1]}{held}" if len(share[1] + held) <= width else held.strip()), "warn"
    if len(text + held) > width:
        text = short_throttle(gpu.throttle_reasons) or text
    return (text + held if len(text + held) <= width else text), role


def short_throttle(cell: Cell) -> str:
    """The first reason in a short word, and how many more; "" where it is no number."""
    if isinstance(cell, Absent) or not isinstance(cell, int):
        return ""
    words = [word for bit, word in _SHORT.items() if cell & bit]
    words += [f"{rest:#x}"] if (rest := cell & ~sum(THROTTLE_REASONS)) else []
    return words[0] + (f" +{len(words) - 1}" if len(words) > 1 else "") if words else ""
