"""Plain files as rows: folders as headings, below them what was written there; empty logs of a sort are one row."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchprobes.compilelog.tree import FileView

_DEBUG_RUN = re.compile(r"run_\d{4}_\d\d_\d\d_(\d\d)_(\d\d)_(\d\d)_\d+-pid_(\d+)")
_DULL = frozenset({"probes", "compile", "torch_compile_debug", "torchinductor", "torchdynamo", "logs", "tlparse"})
"""Folders whose names say nothing that their files' names do not."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading (no file), a file, or a note on files that have nothing to show (no file, `dull`)."""

    words: str
    depth: int
    file: FileView | None = None
    dull: bool = False
    path: str = ""
    """Of a heading: the folders down to it."""


def rows_of(files: Iterable[FileView]) -> list[Row]:
    """The rows of files in their order: a heading whenever the folder changes."""
    rows: list[Row] = []
    last: list[str] = []
    here: str | None = None
    for group in together(files):
        folder, _, name = group[0].name.rpartition("/")
        if folder != here:
            here = folder
            telling = [part for part in folder.split("/") if part and part not in _DULL]
            rows += _headings(last, telling)
            last = telling
        if len(group) > 1:
            rows.append(Row(empty_words(group), len(last), dull=True))
        else:
            rows.append(Row(name, len(last), group[0]))
    return rows


def _headings(last: list[str], telling: list[str]) -> list[Row]:
    """Headings for the folders that were not there before."""
    same = 0
    while same < min(len(last), len(telling)) and last[same] == telling[same]:
        same += 1
    return [
        Row(_folder_words(telling[depth]), depth, path="/".join(telling[: depth + 1]))
        for depth in range(same, len(telling))
    ]


def together(files: Iterable[FileView]) -> Iterator[list[FileView]]:
    """Each file alone, but neighbours of one folder and kind that hold nothing together."""

    def key(file: FileView) -> tuple[str, ...]:
        empty = file.size_bytes == 0 and not file.cause and file.kind.grows
        return (file.name.rpartition("/")[0], file.kind.name) if empty else (file.path,)

    for _, group in itertools.groupby(files, key):
        yield list(group)


def empty_words(group: list[FileView]) -> str:
    """`7 empty aot logs`."""
    return f"{len(group)} empty {group[0].kind.name}s"


def _folder_words(folder: str) -> str:
    run = _DEBUG_RUN.fullmatch(folder)
    return f"pid {run[4]} at {run[1]}:{run[2]}:{run[3]}" if run else folder
