"""Where the Logs pane can be: which view of what. Plain functions from what a line leads to, to there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from torchdoctor.text import size_text
from torchdoctor.widgets.code_paint import MOST_BYTES
from torchdoctor.widgets.piece_words import CODE, GRAPHS, MAPPINGS, READABLE, about, title_of
from torchprobes.compilelog import events
from torchprobes.compilelog.explanation import Piece
from torchprobes.compilelog.kinds import kind_of
from torchprobes.compilelog.sources import TRACE_NAME

if TYPE_CHECKING:
    from torchdoctor.log_source import LogSource, Part
    from torchdoctor.widgets.code_paint import CodeText
    from torchdoctor.widgets.explain_words import Target
    from torchdoctor.widgets.side_by_side import Compared
    from torchprobes.compilelog.engine import LogsView
    from torchprobes.compilelog.explanation import Compile
    from torchprobes.compilelog.tree import FileView, Tree

Words = tuple[str, str]

View = Literal["overview", "compile", "log", "code", "side"]


@dataclass(frozen=True, slots=True)
class Where:
    """A view, and what it shows."""

    view: View = "overview"
    title: str = ""
    what: str = ""
    path: str = ""
    window: tuple[int, int] | None = None
    language: str = "log"
    line: int | None = None
    """Counted from 0, to be lit."""
    offset: int | None = None
    """A byte, whose line is wanted."""
    follow: bool = False
    source: events.Line | None = None
    """A line of somebody's program."""
    compile: tuple[str, str] | None = None
    """(process, compile id)."""
    piece: Piece | None = None
    parts: tuple[Part, ...] = ()
    """What stands side by side: two texts, and for a graph and its code the provenance."""
    linked: bool = False
    paths: tuple[str, ...] = ()
    """Of several logs as one, by time."""


OVERVIEW: Final = Where()

MERGED: Final = 64
"""Logs that are merged at most."""


def of_file(file: FileView) -> Where:
    """A file of the run: what grows as a log, what was written once as code."""
    kind = file.kind
    code = not kind.grows and kind.language in ("python", "ir", "json") and file.size_bytes <= MOST_BYTES
    name = os.path.basename(file.name)
    if code:
        return Where("code", name, file.cause or kind.what, file.path, language=kind.language)
    return Where("log", name, file.cause or kind.what, file.path, language=kind.language, follow=kind.grows)


def merged(view: LogsView | None, marked: frozenset[str]) -> Where | None:
    """Several logs as one, by time: those that were marked, else all texts of the run."""
    files = view.tree.files if view is not None else ()
    texts = [file for file in files if file.kind.language == "log" and file.kind.name != "trace" and not file.gone]
    chosen = [file for file in texts if file.path in marked] if marked else [file for file in texts if file.size_bytes]
    if len(chosen) < 2:
        return None
    paths = tuple(file.path for file in chosen[:MERGED])
    left = f"; {len(chosen) - MERGED:,} more are left out" if len(chosen) > MERGED else ""
    return Where("log", f"{len(paths)} logs by time", f"{'marked ones' if marked else 'all texts of the run'}{left}",
                 follow=True, paths=paths)  # fmt: skip


def is_plain(file: FileView) -> bool:
    """Whether a file is a text that is read, rather than a trace that is explained."""
    return file.kind.name != "trace" and not TRACE_NAME.fullmatch(os.path.basename(file.name))


def of_piece(piece: Piece, compile_key: tuple[str, str] | None = None) -> Where:
    """A piece of a compile."""
    known = about(piece)
    title = title_of(piece)
    return Where("code", title, known.what, piece.path, window_of(piece), known.language, compile=compile_key,
                 piece=piece)  # fmt: skip


def window_of(piece: Piece) -> tuple[int, int] | None:
    """Where in its file a piece lies; None for all of it."""
    return None if piece.size is None else (piece.offset, piece.size)


def of_place(place: events.Place) -> Where:
    """The evidence: the record of a trace as it stands, or the line of a log."""
    name = os.path.basename(place.path)
    if place.size and TRACE_NAME.fullmatch(name):
        return Where("code", name, f"the record at byte {place.offset:,}", place.path, (place.offset, place.size),
                     "python")  # fmt: skip
    kind = kind_of(name)
    return Where("log", name, kind.what, place.path, language=kind.language, offset=place.offset)


def of_source(source: events.Line) -> Where:
    """A line of somebody's program."""
    name = os.path.basename(source.file)
    return Where("code", f"{name}:{source.line}", source.function and f"in {source.function}", source.file,
                 language="python", line=max(0, source.line - 1), source=source)  # fmt: skip


def of_target(target: Target) -> Where | None:
    """Where `enter` leads from a line of the overview."""
    if target.piece is not None:
        return of_piece(target.piece)
    if target.place is not None:
        return of_place(target.place)
    if target.compile is not None:
        return Where("compile", compile=target.compile)
    return of_source(target.source) if target.source is not None else None


def compile_of(key: tuple[str, str] | None, view: LogsView | None) -> Compile | None:
    """The compile of a key, with all that can be read of it."""
    if key is None or view is None:
        return None
    found = next((one for one in view.explanation.compiles if (one.process, one.compile_id) == key), None)
    return with_pieces(found, view) if found is not None else None


def with_pieces(one: Compile, view: LogsView) -> Compile:
    """A compile with the pieces that the tree has of it."""
    nodes = next((node.compiles for node in view.groups if node.key == one.process), ())
    pieces = tuple(piece for node in nodes if node.compile_id == one.compile_id for piece in node.pieces)
    return replace(one, pieces=pieces) if pieces else one


def compile_named(compile_id: str, rank: int | None, path: str, view: LogsView | None) -> tuple[str, str] | None:
    """The compile that a line of the log `path` names; of several processes the one of its rank, or of its file."""
    if view is None:
        return None
    found = [one for one in view.explanation.compiles if one.compile_id == compile_id]
    ranks = {process.key: process.rank for process in view.explanation.processes}
    if rank is not None:
        found = [one for one in found if ranks.get(one.process) in (rank, None)]
    owners = {node.key for node in view.groups if path in node.files}
    owners |= {node.key for node in view.groups for one in node.compiles if any(p.path == path for p in one.pieces)}
    chosen = next(iter([one for one in found if one.process in owners] or found), None)
    return (chosen.process, chosen.compile_id) if chosen is not None else None


# --- side by side -----------------------------------------------------------------------------------------------------


def siblings(one: Compile, view: LogsView) -> list[Compile]:
    """The compiles of the same function in the same process, in their order."""
    key = (one.process, one.file, one.line, one.function)
    return [
        other for other in view.explanation.compiles if (other.process, other.file, other.line, other.function) == key
    ]


def before_and_after(one: Compile, view: LogsView, kind: str = "") -> Where | None:
    """The graph of a compile beside that of the compile of its function before it (after it, for the first)."""
    same = siblings(one, view)
    at = next((at for at, other in enumerate(same) if other.compile_id == one.compile_id), 0)
    pair = same[at - 1 : at + 1] if at else same[:2]
    if len(pair) < 2:
        return None
    before, after = (with_pieces(compiled, view) for compiled in pair)
    for name in (kind, *GRAPHS) if kind else GRAPHS:
        left, right = _piece(before.pieces, (name,)), _piece(after.pieces, (name,))
        if left is not None and right is not None:
            title = f"{one.function} [{before.compile_id}] › [{after.compile_id}]  {title_of(right)}"
            return Where("side", title, compile=(one.process, after.compile_id), parts=(_part(left), _part(right)))
    return None


def graph_and_code(pieces: Sequence[Piece], piece: Piece | None, key: tuple[str, str] | None) -> Where | None:
    """The readable graph of a compile beside the code that was made of it; of several that of `piece`'s graph."""
    same = [one for one in pieces if piece is None or _beside(one, piece)]
    graph, code = _piece(same, READABLE), _piece(same, CODE)
    if graph is None or code is None:
        return None
    mappings = _piece([one for one in same if one.path == code.path or _folder(one) == _folder(code)], MAPPINGS)
    parts = tuple(_part(one) for one in (graph, code, mappings) if one is not None)
    title = f"{title_of(graph)} and {title_of(code)}"
    return Where("side", title, compile=key, parts=parts, linked=True)


def _beside(one: Piece, other: Piece) -> bool:
    """Whether two pieces are of one graph: in one folder, or payloads of one trace that name the same graph."""
    if one.size is None or other.size is None:
        return one.size is other.size and _folder(one) == _folder(other)
    return one.path == other.path and (not one.graph or not other.graph or one.graph == other.graph)


def _folder(piece: Piece) -> str:
    return os.path.dirname(piece.path)


def _piece(pieces: Iterable[Piece], kinds: Sequence[str]) -> Piece | None:
    """The first piece of the first kind that there is."""
    known = list(pieces)
    return next((piece for kind in kinds for piece in known if piece.kind == kind), None)


def _part(piece: Piece) -> Part:
    return piece.path, window_of(piece), about(piece).language


def beside(key: tuple[str, str] | None, piece: Piece | None, view: LogsView | None) -> Where | None:
    """What stands beside a piece or a compile: of a graph its code, of a compile the graph of the one before."""
    if view is None:
        return None
    one = compile_of(key, view)
    if piece is not None and piece.kind in (*READABLE, *CODE):
        pieces = one.pieces if one is not None else _in_folder(piece, view.tree)
        found = graph_and_code(pieces, piece, key)
        if found is not None:
            return found
    if one is None:
        return None
    kind = piece.kind if piece is not None and piece.kind in GRAPHS else ""
    return before_and_after(one, view, kind) or graph_and_code(one.pieces, None, key)


def other_side(where: Where, view: LogsView | None) -> Where | None:
    """From a graph beside its code to two graphs, and back."""
    one = compile_of(where.compile, view)
    if one is None or view is None:
        return None
    return before_and_after(one, view) if where.linked else graph_and_code(one.pieces, None, where.compile)


def next_pair(where: Where, by: int, view: LogsView | None) -> Where | None:
    """The next two compiles of the function."""
    one = compile_of(where.compile, view)
    if one is None or view is None:
        return None
    same = siblings(one, view)
    at = next((at for at, other in enumerate(same) if other.compile_id == one.compile_id), 0) + by
    return before_and_after(same[at], view) if 1 <= at < len(same) else None


def _in_folder(piece: Piece, tree: Tree) -> list[Piece]:
    """The files beside a file, as pieces: for a graph whose compile nobody tells."""
    folder = _folder(piece)
    return [Piece(file.kind.name, file.path) for file in tree.files if os.path.dirname(file.path) == folder]


def line_of(one: Compile | None) -> events.Line | None:
    """The line of the program that a compile is of."""
    return events.Line(one.file, one.line, one.function) if one is not None and one.file else None


# --- the title --------------------------------------------------------------------------------------------------------


def title(where: Where, compared: Compared, code: CodeText, view: LogsView | None, source: LogSource) -> list[Words]:
    """What is shown, in a line: (words, style)."""
    if where.view == "side":
        differs = "" if where.linked or not compared.pairs else f"  {compared.differs:,} rows differ"
        return [(compared.title or where.title, "bold"), (differs, "dim")]
    if where.view in ("log", "code"):
        note = code.note if where.view == "code" else ""
        file = _file(where.path, view)
        size = size_text(where.window[1]) if where.window else size_text(file.size_bytes) if file is not None else ""
        return [(where.title, "bold"), (f"  {size}", "dim"), (f"  {note or where.what}", "" if note else "dim")]
    if not source.root:
        return [("No run yet", "")]
    cause = source.cause or (view.cause or view.tree.cause if view is not None else "")
    name = "compile" if where.view == "compile" else "Overview"
    return [(name, "bold"), (f"  {cause}" if cause else "", ""), (f"  {source.root}", "dim")]


def _file(path: str, view: LogsView | None) -> FileView | None:
    return next((file for file in view.tree.files if file.path == path), None) if view is not None else None
