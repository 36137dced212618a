"""The rows of the Logs pane's tree: the overview, then processes, their compiles, artefacts and plain files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import Line, Page, Span, fit, line
from torchdoctor.signs import CLOSED, OPEN
from torchdoctor.text import safe, size_text
from torchdoctor.widgets.lazy_lines import MadeLines
from torchprobes.compilelog.explanation import Piece

from .explain_words import COMPILE_STATES
from .file_rows import empty_words, rows_of, together
from .log_paint import SIGNS, TONES
from .piece_words import about, reading_order, title_of

if TYPE_CHECKING:
    from torchprobes.compilelog.artefacts import CompileNode, ProcessNode
    from torchprobes.compilelog.engine import LogsView
    from torchprobes.compilelog.marks import Mark
    from torchprobes.compilelog.tree import FileView

OVERVIEW: Final = "overview"

ROOMY: Final = 40
"""From this width on every level is indented by two cells."""

WHAT_FROM: Final = 52
"""From this width on a row has room for what its file or artefact is."""

OPEN_PROCESSES: Final = 2
"""With more processes than this only the first stands open."""

MANY_COMPILES: Final = 60
"""A process with more compiles than this shows those of one function as one row that opens."""

MANY_FILES: Final = 400
"""With more plain files than this their folders stand closed."""

MARKED: Final[Span] = ("●", "accent")
"""The sign of a log that is to be merged."""

_ROLES: Final = {"error": "fail", "warning": "warn", "mark": "accent"}


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One row; `open` is None where it has nothing below it."""

    key: str
    words: str
    depth: int = 0
    open: bool | None = None
    file: FileView | None = None
    piece: Piece | None = None
    compile: tuple[str, str] | None = None
    """(process, compile id)."""
    what: str = ""
    sign: Span = ("", "")
    role: str = ""
    hits: int = 0
    size: int | None = None
    """Bytes."""
    live: bool = True
    """Whether the cursor can stand on it."""


# --- rows --------------------------------------------------------------------------------------------------------


def tree_rows(
    view: LogsView,
    flipped: frozenset[str],
    hits: Mapping[str, int] | None = None,
    marked: frozenset[str] = frozenset(),
) -> list[TreeRow]:
    """The rows of a view.

    `flipped` are keys that stand otherwise than at first, `hits` a search's counts by path, `marked` paths of logs.
    """
    files = {file.path: file for file in view.tree.files}
    states = {(one.process, one.compile_id): one.state for one in view.explanation.compiles}
    rows = [TreeRow(OVERVIEW, "Overview", role="title")]
    named = [node for node in view.groups if node.key]
    for place, node in enumerate(named):
        first = place < (OPEN_PROCESSES if len(named) <= OPEN_PROCESSES else 1)
        rows += _process_rows(node, files, states, flipped, first)
    rest = [path for node in view.groups if not node.key for path in node.files]
    left = [files[path] for path in rest if path in files] if named else list(view.tree.files)
    if hits and len(left) > MANY_FILES:
        left = [file for file in left if file.path in hits]
    rows += _file_rows(left, bool(named), flipped)
    if marked:
        rows = [replace(row, sign=MARKED) if row.file and row.file.path in marked else row for row in rows]
    if hits:
        rows = [replace(row, hits=_hits_below(row, hits, view.groups)) for row in rows]
    return rows


def _process_rows(
    node: ProcessNode,
    files: Mapping[str, FileView],
    states: Mapping[tuple[str, str], str],
    flipped: frozenset[str],
    first: bool,
) -> list[TreeRow]:
    key = f"process:{node.key}"
    is_open = first ^ (key in flipped)
    rows = [TreeRow(key, node.words or node.key, open=is_open, role="title")]
    if not is_open:
        return rows
    own = sorted((files[path] for path in node.files if path in files), key=lambda file: file.kind.order)
    for group in together(own):
        name = os.path.basename(group[0].name)
        rows.append(_of_file(group[0], 1, name) if len(group) == 1 else _dull(empty_words(group), 1))
    for head, compiles in _frames(node, flipped):
        rows += [head] if head is not None else []
        for one in compiles:
            state = states.get((node.key, one.compile_id), "")
            rows += _compile_rows(node, one, state, files, flipped)
    return rows


def _frames(node: ProcessNode, flipped: frozenset[str]) -> list[tuple[TreeRow | None, Sequence[CompileNode]]]:
    """(a row that opens, what is below it): of a process with many compiles those of one function together."""
    if len(node.compiles) <= MANY_COMPILES:
        return [(None, node.compiles)]
    frames: dict[tuple[str, str], list[CompileNode]] = {}
    for one in node.compiles:
        frames.setdefault((one.compile_id.rpartition("/")[0], one.function), []).append(one)
    found: list[tuple[TreeRow | None, Sequence[CompileNode]]] = []
    for (frame, function), compiles in frames.items():
        key = _frame_key(node, compiles[0])
        words = f"[{frame}] {function}  {len(compiles)} compile{'s' * (len(compiles) != 1)}"
        is_open = key in flipped
        found.append((TreeRow(key, words, 1, is_open), compiles if is_open else ()))
    return found


def _compile_rows(
    node: ProcessNode, one: CompileNode, state: str, files: Mapping[str, FileView], flipped: frozenset[str]
) -> list[TreeRow]:
    key = _compile_key(node, one)
    is_open = key in flipped
    sign = COMPILE_STATES.get(state, ("", ""))
    words = f"[{one.compile_id}] {one.function}" if one.compile_id else one.function or one.words
    known = (node.key, one.compile_id) if state else None
    head = TreeRow(key, words, 1, is_open if one.pieces else None, compile=known, what=one.words, sign=sign)
    if not is_open:
        return [head]
    pieces = sorted(one.pieces, key=reading_order)
    return [head, *(_of_piece(piece, files, known) for piece in pieces)]


def _of_piece(piece: Piece, files: Mapping[str, FileView], known: tuple[str, str] | None) -> TreeRow:
    file = files.get(piece.path) if piece.size is None else None
    size = piece.size if file is None else file.size_bytes
    return TreeRow(piece_key(piece), title_of(piece), 2, file=file, piece=piece, compile=known,
                   what=about(piece).what, size=size)  # fmt: skip


def piece_key(piece: Piece) -> str:
    """What the cursor calls a piece."""
    return f"piece:{piece.path}:{piece.offset}"


def _of_file(file: FileView, depth: int, words: str) -> TreeRow:
    return TreeRow(f"file:{file.path}", words, depth, file=file, what=file.kind.what, size=file.size_bytes)


def _file_rows(files: Sequence[FileView], more: bool, flipped: frozenset[str]) -> list[TreeRow]:
    """Plain files; of many, the folders stand closed."""
    rows = [TreeRow("files", "files of the run", role="title", live=False)] if more and files else []
    many, closed = len(files) > MANY_FILES, -1
    for row in rows_of(files):
        if closed >= 0 and row.depth > closed:
            continue
        closed = -1
        depth = row.depth + int(more)
        if row.file is not None:
            rows.append(_of_file(row.file, depth, row.words))
        elif row.dull:
            rows.append(_dull(row.words, depth))
        else:
            key = f"folder:{row.path}"
            is_open = (key in flipped) if many else None
            closed = row.depth if is_open is False else -1
            rows.append(TreeRow(key, row.words, depth, is_open, role="info", live=many))
    return rows


def _dull(words: str, depth: int) -> TreeRow:
    return TreeRow(f"dull:{words}", words, depth, role="dim", live=False)


def _hits_below(row: TreeRow, hits: Mapping[str, int], groups: Iterable[ProcessNode]) -> int:
    """Hits in what a row stands for; of a folded one those of everything below it."""
    if row.file is not None:
        return hits.get(row.file.path, 0)
    if row.open is not False:
        return 0
    for node in groups:
        if row.key == f"process:{node.key}":
            return _hits_in(hits, node.files, node.compiles)
        below = [one for one in node.compiles if row.key in (_compile_key(node, one), _frame_key(node, one))]
        if below:
            return _hits_in(hits, (), below)
    return 0


def _hits_in(hits: Mapping[str, int], files: Iterable[str], compiles: Iterable[CompileNode]) -> int:
    pieces = (piece.path for one in compiles for piece in one.pieces if piece.size is None)
    return sum(hits.get(path, 0) for path in {*files, *pieces})


def _compile_key(node: ProcessNode, one: CompileNode) -> str:
    return f"compile:{node.key}:{one.compile_id}:{one.function}"


def _frame_key(node: ProcessNode, one: CompileNode) -> str:
    return f"frame:{node.key}:{one.compile_id.rpartition('/')[0]}:{one.function}"


# --- lines -------------------------------------------------------------------------------------------------------


def tree_line(row: TreeRow, width: int) -> Line:
    """A row as a line: its fold, sign and name, what it is where there is room, marks, and its size."""
    indent = " " * (row.depth * (2 if width >= ROOMY else 1) + 1)
    fold = "" if row.open is None else f"{OPEN if row.open else CLOSED} "
    size = "" if row.size is None else "gone" if row.file is not None and row.file.gone else size_text(row.size)
    tail: list[Span] = [(f" {row.hits:,}" + (" hits" if width >= WHAT_FROM else ""), "accent")] if row.hits else []
    room = width - len(indent) - len(fold) - len(row.sign[0]) - 12 - (7 if size else 0)
    tail += _marks(row.file.counts, room) if row.file is not None else []
    tail += [(f"{size:>7} ", "dim")] if size else []
    left = width - len(indent) - len(fold) - sum(len(text) for text, _ in tail)
    spans: list[Span] = [(row.sign[0] + " ", row.sign[1])] if row.sign[0] else []
    left -= sum(len(text) for text, _ in spans)
    name = safe(row.words, limit=400)
    empty = row.file is not None and (row.file.gone or (not row.file.size_bytes and not row.file.cause))
    named: Span = (name, "dim" if empty else row.role)
    if width >= WHAT_FROM and row.what and left - len(name) > 10:
        named = (name + "  ", named[1])
        rest: Span = (fit(safe(row.what, limit=200), left - len(named[0])), "dim")
        return line((indent + fold, "dim"), *spans, named, rest, *tail)
    return line((indent + fold, "dim"), *spans, (fit(name, max(4, left)), named[1]), *tail)


def _marks(counts: Sequence[tuple[Mark, int]], room: int) -> list[Span]:
    """The marks in a file, the gravest first, as many as there is room for; never at the cost of its name."""
    spans: list[Span] = []
    for mark, count in counts:
        words = f" {SIGNS[mark][0]}{count}"
        if TONES[mark] != "warning" and len(words) <= room:
            spans.append((words, _ROLES[TONES[mark]]))
            room -= len(words)
    return spans


class TreeLines(MadeLines):
    """Lines of rows, each made when somebody looks at it: a tree of 5,000 files costs what is on the screen."""

    def __init__(self, rows: Sequence[TreeRow], width: int) -> None:
        self._rows, self._width = rows, width
        self._line = lru_cache(maxsize=512)(lambda at: tree_line(rows[at], width))

    def __len__(self) -> int:
        return len(self._rows)

    def made(self, at: int) -> Line:
        """Line `at`."""
        return self._line(at)


def tree_page(rows: Sequence[TreeRow], width: int) -> Page:
    """The page of these rows; `e` goes from one with an error or a break to the next."""
    keys = {at: row.key for at, row in enumerate(rows) if row.live}
    grave = {mark for mark, tone in TONES.items() if tone != "warning"}
    marks = frozenset(
        at
        for at, row in enumerate(rows)
        if row.sign[1] == "fail" or (row.file is not None and any(mark in grave for mark, _ in row.file.counts))
    )
    return Page(TreeLines(rows, width), keys, marks)
