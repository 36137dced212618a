"""Pieces and folders of graphs, by the process and the compile that they belong to, as the events tell it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .events import Artefact, Folder, Source
from .explanation import Piece, Process

_GRAPH: Final = re.compile(r"model__(\d{1,9})_(forward|backward|inference)(?:_\d{1,9})?")

MOST: Final = 100_000
"""Pieces remembered in all."""

Writer = tuple[int | None, int | None, str]
"""pid, rank, and the file where there is no pid: whoever wrote a record."""


@dataclass(slots=True)
class Owned:
    """What one writer has told of its pieces."""

    pieces: dict[str, list[Piece]] = field(default_factory=dict)
    """Compile id → payloads of the trace, in its order."""
    graphs: dict[str, str] = field(default_factory=dict)
    """Graph, by its whole name, by `0_forward` and by its AOT id → compile id."""
    done: set[str] = field(default_factory=set)
    """Names of the graphs whose folder was told: torch says it when the compile is done."""

    def tell(self, name: str, compile_id: str) -> None:
        """A graph belongs to a compile, and so does the backward graph of the same AOT id."""
        if name and compile_id:
            for known in {name, graph_of(name), aot_of(name)} - {""}:
                self.graphs[known] = compile_id


class Pieces:
    """Takes `Artefact` and `Folder`; answers by process."""

    def __init__(self) -> None:
        self.left_out = 0
        self.paths: dict[str, set[tuple[int | None, int | None]]] = {}
        """File → (pid, rank) of those that wrote into it."""
        self._owned: dict[Writer, Owned] = {}
        self._count = 0

    def wrote(self, source: Source) -> None:
        """Somebody wrote into a file."""
        self.paths.setdefault(source.place.path, set()).add((source.pid, source.rank))

    def take(self, event: Artefact | Folder) -> None:
        """One more piece, or one more folder."""
        self._count += 1
        if self._count > MOST:
            self.left_out += 1
            return
        source = event.source
        place = source.place
        owned = self._owned.setdefault(_writer(source), Owned())
        if isinstance(event, Folder):
            name = event.name or os.path.basename(event.path)
            owned.tell(name, source.compile_id)
            owned.done.add(name)
            return
        piece = Piece(event.kind, place.path, place.offset, place.size, event.name)
        owned.pieces.setdefault(source.compile_id, []).append(piece)
        owned.tell(event.name, source.compile_id)

    def by_process(self, processes: Iterable[Process]) -> dict[str, Owned]:
        """Process key → what is its own; what no process or more than one may own is under ""."""
        known = tuple(processes)
        found: dict[str, Owned] = {}
        for writer, owned in self._owned.items():
            _join(found.setdefault(process_of(writer, known), Owned()), owned)
        return found

    def files_of(self, processes: Iterable[Process]) -> dict[str, str]:
        """File → key of the one process that wrote into it, "" for a file of several."""
        known = tuple(processes)
        found: dict[str, str] = {}
        for path, writers in self.paths.items():
            keys = {process_of((pid, rank, path if pid is None else ""), known) for pid, rank in writers} - {""}
            found[path] = keys.pop() if len(keys) == 1 else ""
        return found


def process_of(writer: Writer, processes: tuple[Process, ...]) -> str:
    """The key of the process that a writer is, "" where that is not sure."""
    pid, rank, path = writer
    if pid is None:
        named = [p.key for p in processes if p.pid is None and p.key == os.path.basename(path)]
        mine = named or [p.key for p in processes if rank is None or p.rank == rank]
        return mine[0] if len(mine) == 1 else ""
    same = [process for process in processes if process.pid == pid]
    ranked = [process for process in same if None in (rank, process.rank) or process.rank == rank]
    return ranked[0].key if len(ranked) == 1 else ""


def graph_of(name: str) -> str:
    """`0_forward` of a graph's name: `model__0_forward_1`, or `model__0_forward` as a trace has it; else ""."""
    found = _GRAPH.fullmatch(name)
    return f"{found[1]}_{found[2]}" if found else ""


def aot_of(name: str) -> str:
    """The AOT id of a graph's name, which its forward and its backward share; "" where it has none (torch 2.1)."""
    found = _GRAPH.fullmatch(name)
    return found[1] if found else ""


def _writer(source: Source) -> Writer:
    return source.pid, source.rank, source.place.path if source.pid is None else ""


def _join(owned: Owned, other: Owned) -> None:
    for compile_id, pieces in other.pieces.items():
        owned.pieces.setdefault(compile_id, []).extend(pieces)
    owned.graphs.update(other.graphs)
    owned.done |= other.done
