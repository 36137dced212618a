"""Trees as the kernel's file systems have them, in a folder of a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torchprobes.cells import Absent, Cell, CellState
from torchprobes.telemetry.host import Roots


def plant(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder; one that is there is written anew in place, as the kernel does it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def roots(folder: Path, files: Mapping[str, str] | None = None) -> Roots:
    """/proc, /sys and /dev below a folder."""
    plant(folder, files or {})
    for name in ("proc", "sys", "dev"):
        (folder / name).mkdir(exist_ok=True)
    return Roots.under(folder)


def state(cell: Cell) -> CellState:
    """Why there is no number; it is a fault if there is one."""
    assert isinstance(cell, Absent), cell
    assert cell.why
    return cell.state
