"""A fleet's folder: a report a node as NODE.json, and `nodes.jsonl`, a row a node, also of those without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from torchprobes.model import Report
from torchprobes.rundir import RunError, write_atomically

from .rows import Node

ROWS: Final = "nodes.jsonl"


def new_folder(path: Path) -> Path:
    """Make the folder of a fleet, private to the user; one that is there may hold no reports of another time.

    Raises:
        RunError: if it cannot be made or written, or holds some.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = any(path.glob("*.json")) or (path / ROWS).exists()
        write_atomically(path / ".tried", b"")
        (path / ".tried").unlink()
    except OSError as error:
        raise RunError(f"cannot write reports into {path}: {error.strerror}; name another folder with --out") from None
    if taken:
        raise RunError(f"{path} holds reports already, and they would be mixed: name a new folder with --out")
    return path


def save(folder: Path, nodes: Sequence[Node], masked: Callable[[Report], Report]) -> tuple[Node, ...]:
    """Keep what came, private to the user, each report as `masked` gives it; the rows then name their files.

    Raises:
        RunError: if a file cannot be written; what was written before stays.
    """
    saved = tuple(_saved(folder, node, masked) for node in nodes)
    rows = b"".join(msgspec.json.encode(node.row) + b"\n" for node in saved)
    _write(folder / ROWS, rows)
    return saved


def _saved(folder: Path, node: Node, masked: Callable[[Report], Report]) -> Node:
    if node.report is None:
        return node
    name, report = f"{node.row.node}.json", masked(node.report)
    _write(folder / name, msgspec.json.encode(report))
    return Node(msgspec.structs.replace(node.row, file=name), report)


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
