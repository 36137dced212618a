"""The tree of a run: processes, their compiles, and of each the pieces that can be read, with what each is."""

from __future__ import annotations

from dataclasses import dataclass

from .explanation import Explanation, Piece
from .follow import Tree


@dataclass(frozen=True, slots=True)
class CompileNode:
    """One compile of a process, or what lies there of a graph whose compile nobody tells (`compile_id` "")."""

    compile_id: str
    function: str
    words: str
    """What became of it, and what a missing piece means: one line without a full stop."""
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessNode:
    """One process of the run, and what it has compiled."""

    key: str
    """`Process.key` of the explanation, else the name of its run folder; "" holds files of no single process."""
    words: str
    compiles: tuple[CompileNode, ...] = ()
    files: tuple[str, ...] = ()
    """Paths of what belongs to the process as a whole: its trace, its logs."""


def groups(tree: Tree, explanation: Explanation) -> tuple[ProcessNode, ...]:
    """The tree of what is there now."""
    known = tuple(
        ProcessNode(
            process.key,
            f"process {process.key}",
            tuple(
                CompileNode(made.compile_id, made.function, made.state, made.pieces)
                for made in explanation.compiles
                if made.process == process.key
            ),
        )
        for process in explanation.processes
    )
    rest = tuple(file.path for file in tree.files)
    return (*known, ProcessNode("", "files of the run", files=rest)) if rest else known
