"""The NVLinks and the MIG devices of a GPU, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from torchdoctor.paint import BLANK, Part, Span, heading
from torchdoctor.text import safe
from torchdoctor.widgets.cells import GIB, cell_span, pair_span
from torchdoctor.widgets.table_rows import Column, fit_columns, head_line, table_row
from torchprobes.cells import number
from torchprobes.samples import GpuSample, LinkSample, MigSample

_WIDEST: Final = 110


def _link(name: str) -> Callable[[LinkSample, int], Sequence[Span]]:
    return lambda link, width: [cell_span(getattr(link, name))]


def _errors(name: str) -> Callable[[LinkSample, int], Sequence[Span]]:
    def show(link: LinkSample, width: int) -> Sequence[Span]:
        text, role = cell_span(getattr(link, name))
        return [(text, "warn" if number(getattr(link, name)) else role)]

    return show


def _state(link: LinkSample, width: int) -> Sequence[Span]:
    value = number(link.state)
    return [cell_span(link.state)] if value is None else [("up", "") if value else ("down", "fail")]


_LINKS: Final[tuple[Column[LinkSample], ...]] = (
    Column("link", 8, 0, lambda link, width: [(str(link.link), "title")]),
    Column("state", 6, 0, _state, left=True),
    Column("version", 7, 4, _link("version")),
    Column("to", 14, 0, _link("remote"), left=True, most=20),
    Column("CRC", 8, 1, _errors("crc_errors")),
    Column("replay", 8, 2, _errors("replay_errors")),
    Column("recovery", 8, 3, _errors("recovery_errors")),
)


def links_part(gpu: GpuSample, width: int) -> Part:
    """A row a link: its state, its other end, its errors."""
    if not gpu.links:
        return Part([])
    columns = fit_columns(_LINKS, min(width, _WIDEST))
    rows = [heading("NVLinks", f"{len(gpu.links)}"), head_line(columns)]
    return Part([BLANK, *rows, *(table_row(link, columns) for link in gpu.links)])


_MIGS: Final[tuple[Column[MigSample], ...]] = (
    Column("MIG", 8, 0, lambda mig, width: [(str(mig.index), "title")]),
    Column("profile", 16, 0, lambda mig, width: [cell_span(mig.name)], left=True, most=30),
    Column("memory GiB", 11, 0, lambda mig, width: [
        pair_span(mig.memory_used_bytes, mig.memory_total_bytes, "", scale=GIB, digits=1)]),
    Column("GI", 3, 1, lambda mig, width: [cell_span(mig.gpu_instance)]),
    Column("CI", 3, 1, lambda mig, width: [cell_span(mig.compute_instance)]),
    Column("uuid", 20, 2, lambda mig, width: [(safe(mig.uuid, limit=60), "dim")], left=True, most=44),
)  # fmt: skip


def migs_part(gpu: GpuSample, width: int) -> Part:
    """A row a MIG device."""
    if not gpu.migs:
        return Part([])
    columns = fit_columns(_MIGS, min(width, _WIDEST))
    rows = [heading("MIG devices", f"{len(gpu.migs)}"), head_line(columns)]
    return Part([BLANK, *rows, *(table_row(mig, columns) for mig in gpu.migs)])
