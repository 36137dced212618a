"""The tree of a run: processes, their compiles, and of each the pieces that can be read, with what each is.

A piece is a file of a graph's folder, or the payload of a record of the trace. The number of a folder is not that of
its compile: the line `debug trace:` tells both, or the trace by the graph's AOT id; folders of which neither tells are
listed for themselves. What is missing in a folder means something, and is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from .explanation import Compile, Explanation, Piece, Process
from .sources import GRAPH_FOLDER, RUN_FOLDER
from .tree import FileView, Tree
from .whose import Owned, Pieces, aot_of, graph_of


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


STATES: Final = {
    "compiling": "being compiled",
    "compiled": "compiled",
    "cached": "cache hit",
    "failed": "failed",
    "eager": "left to eager",
    "killed": "killed while it was compiled",
}

_CUT: Final[tuple[tuple[str, str, str], ...]] = (
    ("fx readable", "the graph is not written yet", "killed before the graph was written"),
    ("ir before", "lowering", "killed while it was lowered"),
    ("output_code", "generating code", "killed before its code was written"),
)
"""Kind that a folder lacks, what that means while it is compiled, and when it was cut off; the first holds."""

_NOT_MADE: Final[tuple[tuple[str, str], ...]] = (
    ("fx readable", "no graph was written"),
    ("ir before", "no IR: lowering failed or was cut off"),
    ("output_code", "no output code: it failed or was cut off"),
)

_FAILED: Final[tuple[tuple[str, str], ...]] = (
    ("ir before", "lowering failed"),
    ("ir after", "fusion failed"),
    ("output_code", "code generation failed"),
)


@dataclass(slots=True)
class _Graph:
    """The folder of a graph."""

    run: str
    """Name of its run folder."""
    pid: int
    name: str
    number: int
    files: list[FileView] = field(default_factory=list)

    @property
    def kinds(self) -> set[str]:
        """What is there and not empty."""
        return {file.kind.name for file in self.files if file.size_bytes and not file.gone}

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Its files as pieces."""
        return tuple(Piece(file.kind.name, file.path, graph=self.name) for file in self.files)


def groups(tree: Tree, explanation: Explanation, pieces: Pieces) -> tuple[ProcessNode, ...]:
    """The tree of what is there now: the explained processes first, then run folders that nothing explains."""
    processes = explanation.processes
    graphs, files = _sorted(tree, pieces.files_of(processes), processes)
    owned = pieces.by_process(processes)
    compiles: dict[str, list[Compile]] = {}
    for row in explanation.compiles:
        compiles.setdefault(row.process, []).append(row)
    nodes = [
        ProcessNode(
            process.key,
            process_words(process),
            _compiles(process, compiles.get(process.key, []), graphs.pop(process.key, []), owned.get(process.key)),
            tuple(files.pop(process.key, ())),
        )
        for process in processes
    ]
    for key in sorted({*graphs, *files} - {""}):
        alone = tuple(_alone(graph) for graph in graphs.get(key, []))
        nodes.append(ProcessNode(key, run_words(key), alone, tuple(files.get(key, ()))))
    if shared := files.get(""):
        nodes.append(ProcessNode("", "files of the run", files=tuple(shared)))
    return tuple(nodes)


def process_words(process: Process) -> str:
    """`rank 0, pid 4242, torch 2.13.0`."""
    parts = (
        f"rank {process.rank}" if process.rank is not None else "",
        f"pid {process.pid}" if process.pid is not None else "",
        f"torch {process.torch}" if process.torch else "",
    )
    return ", ".join(part for part in parts if part) or process.key


def run_words(name: str) -> str:
    """What a run folder is of which no trace and no text tells."""
    found = RUN_FOLDER.fullmatch(name)
    if found is None:
        return name
    when = found[1].split("_")
    return f"pid {found[2]}, {'-'.join(when[:3])} {':'.join(when[3:6])}, nothing tells of its compiles"


def _sorted(
    tree: Tree, writers: dict[str, str], processes: tuple[Process, ...]
) -> tuple[dict[str, list[_Graph]], dict[str, list[str]]]:
    """(graphs, other files) by the key of their process, or by their run folder where no process is told."""
    by_pid: dict[int, list[str]] = {}
    for process in processes:
        if process.pid is not None:
            by_pid.setdefault(process.pid, []).append(process.key)
    alone = [process.key for process in processes if process.pid is None]
    runs = {place[0] for file in tree.files if (place := _place(file.path))}
    graphs: dict[tuple[str, str], _Graph] = {}
    keys: dict[tuple[str, str], str] = {}
    files: dict[str, list[str]] = {}
    for file in tree.files:
        place = _place(file.path)
        if place is None:
            files.setdefault(writers.get(file.path, ""), []).append(file.path)
            continue
        run, pid, folder = place
        same = by_pid.get(pid) or (alone if len(runs) == 1 else [])
        key = same[0] if len(same) == 1 else run
        if not folder:
            files.setdefault(key, []).append(file.path)
            continue
        name, _, number = folder.rpartition(".")
        graph = graphs.setdefault((run, folder), _Graph(run, pid, name, int(number)))
        graph.files.append(file)
        keys[run, folder] = key
    found: dict[str, list[_Graph]] = {}
    for where, graph in sorted(graphs.items(), key=lambda item: (item[0][0], item[1].number)):
        found.setdefault(keys[where], []).append(graph)
    return found, files


@lru_cache(maxsize=20_000)
def _place(path: str) -> tuple[str, int, str] | None:
    """(run folder, pid, graph folder or "") of a file of a debug tree; None for any other."""
    parts = path.split("/")
    for at in range(len(parts) - 2, -1, -1):
        if run := RUN_FOLDER.fullmatch(parts[at]):
            graph = next((part for part in parts[at + 1 : -1] if GRAPH_FOLDER.fullmatch(part)), "")
            return parts[at], int(run[2]), graph
    return None


def _compiles(
    process: Process, rows: list[Compile], graphs: list[_Graph], owned: Owned | None
) -> tuple[CompileNode, ...]:
    """The compiles of one process, each with its graphs; then graphs of which nobody tells the compile."""
    owned = owned or Owned()
    by_id, unknown = _known(graphs, owned)
    unknown = _by_order([row for row in rows if row.compile_id not in by_id], unknown, by_id)
    newest = {row.compile_id: row for row in rows}
    nodes = []
    for row in rows:
        mine = newest[row.compile_id] is row  # after torch._dynamo.reset ids begin again
        own = by_id.pop(row.compile_id, []) if mine else []
        payloads = owned.pieces.get(row.compile_id, []) if mine else []
        words = _words(row, own, owned.done, in_tree=bool(graphs))
        if mine and row.state == "compiled" and process.open_phases and process.open_id == row.compile_id:
            words = "forward compiled, backward not finished"
        nodes.append(CompileNode(row.compile_id, row.function, words, _pieces(own, payloads)))
    for compile_id, rest in by_id.items():  # of compiles that are not in this snapshot
        payloads = owned.pieces.get(compile_id, [])
        nodes.append(CompileNode(compile_id, "", _graph_words(rest), _pieces(rest, payloads)))
    if outside := owned.pieces.get(""):
        nodes.append(CompileNode("", "", "outside of any compile", tuple(outside)))
    return (*nodes, *map(_alone, unknown))


def _known(graphs: list[_Graph], owned: Owned) -> tuple[dict[str, list[_Graph]], list[_Graph]]:
    """Graphs by the compile that the files tell, and those of which they do not."""
    by_id: dict[str, list[_Graph]] = {}
    unknown: list[_Graph] = []
    for graph in graphs:
        names = (graph.name, graph_of(graph.name), aot_of(graph.name))
        compile_id = next((owned.graphs[name] for name in names if owned.graphs.get(name)), "")
        if compile_id:
            by_id.setdefault(compile_id, []).append(graph)
        else:
            unknown.append(graph)
    return by_id, unknown


def _by_order(rows: list[Compile], unknown: list[_Graph], by_id: dict[str, list[_Graph]]) -> list[_Graph]:
    """Join compiles and graphs that are left in their order where there are as many; the graphs that stay unknown."""
    rows = [row for row in rows if row.state in ("compiling", "compiled", "failed", "killed") and row.ops != 0]
    if len(rows) != len(unknown):
        return unknown
    for row, graph in zip(rows, unknown, strict=True):
        by_id.setdefault(row.compile_id, []).append(graph)
    return []


def _pieces(graphs: list[_Graph], payloads: list[Piece]) -> tuple[Piece, ...]:
    return (*(piece for graph in graphs for piece in graph.pieces), *payloads)


def _alone(graph: _Graph) -> CompileNode:
    return CompileNode("", graph.name, _graph_words([graph]), graph.pieces)


def _graph_words(graphs: list[_Graph]) -> str:
    """What the folders themselves say: what they lack was not made, whatever the reason."""
    lacking = [words for graph in graphs for kind, words in _NOT_MADE if kind not in graph.kinds][:1]
    return lacking[0] if lacking else "compiled"


def _words(row: Compile, graphs: list[_Graph], done: set[str], *, in_tree: bool) -> str:
    """What became of a compile. `in_tree`: its process has written folders of graphs, so that none is news."""
    words = STATES.get(row.state, row.state)
    if row.state in ("compiling", "killed"):
        last = graphs[-1] if graphs else None
        if last is None:
            return words
        killed = row.state == "killed"
        lacking = next((cut if killed else now for kind, now, cut in _CUT if kind not in last.kinds), "")
        kernels = "killed before its kernels were compiled" if killed else "compiling its kernels"
        return lacking or (words if last.name in done else kernels)
    if row.state == "failed":
        lacking = next((why for g in graphs for kind, why in _FAILED if kind not in g.kinds), "")
        return lacking or (f"{words} before Inductor" if in_tree and not graphs else words)
    if graphs or not in_tree or row.state == "eager":
        return words
    if row.ops == 0:
        return "nothing to compile"
    return f"{words}: no artefacts" if row.state == "cached" else f"{words}, no artefacts of Inductor"
