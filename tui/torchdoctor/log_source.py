"""Where the Logs pane's data comes from: an engine that follows a run, and files that threads read for the views.

Nothing here waits on the screen's thread: an engine is made in a thread, and so is every file read; what came of it is
handed over when the pane asks, in `pump`.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from torchprobes.compilelog.logfile import open_regular, why

from .text import safe
from .widgets.code_paint import MOST_BYTES, CodeText, code_text
from .widgets.side_by_side import Compared
from .widgets.side_rows import aligned, linked

if TYPE_CHECKING:
    from torchprobes.compilelog.engine import LogsView
    from torchprobes.compilelog.explanation import Explanation
    from torchprobes.compilelog.search import Query
    from torchprobes.compilelog.search_all import SearchAll, SearchAllView

    from .interfaces import LogEngineLike

T = TypeVar("T")

Window = tuple[int, int]
"""(offset, bytes) of a payload within a trace."""

MAPPINGS_BYTES: Final = 16 << 20


class LogSource:
    """The engine of the run that is shown. All methods are called on the screen's thread and return at once."""

    def __init__(self, make: Callable[[str], LogEngineLike]) -> None:
        self._make = make
        self._engine: LogEngineLike | None = None
        self._root = ""
        self._cause = ""
        self._searching: SearchAll | None = None
        self.query: Query | None = None
        """What all files are searched for."""
        self._done: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()

    @property
    def root(self) -> str:
        """What is followed, "" for nothing yet."""
        return self._root

    @property
    def cause(self) -> str:
        """Why there is no engine; "" while all is well."""
        return self._cause

    def follow(self, root: str) -> None:
        """Follow another folder or file; the engine is started in a thread."""
        self.stop()
        self._root, self._cause = root, ""
        threading.Thread(target=self._begin, args=(root,), name="torchdoctor-logs", daemon=True).start()

    def _begin(self, root: str) -> None:
        try:
            engine = self._make(root)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from starting is a line on the screen
            if root == self._root:
                self._cause = str(error) or type(error).__name__
            return
        with self._lock:
            late = root != self._root
            if not late:
                self._engine = engine
        if late:
            engine.stop()

    def view(self) -> LogsView | None:
        """The newest snapshot, None before the first."""
        engine = self._engine
        return engine.view() if engine is not None else None

    def stop(self) -> None:
        """Let go of the engine."""
        with self._lock:
            engine, self._engine, self._root = self._engine, None, ""
        self.search((), None)
        if engine is not None:
            engine.stop()

    # --- search of all files -----------------------------------------------------------------------------------------

    def search(self, paths: Sequence[str], query: Query | None) -> None:
        """Search all of these; None ends the search. The child is started in a thread."""
        if self._searching is not None:
            self._searching.stop()
        self._searching, self.query = None, query
        if query is not None:
            self.work(lambda: search_all(paths, query), lambda begun: self._keep(begun, query))

    def _keep(self, begun: SearchAll, query: Query) -> None:
        if query is self.query:
            self._searching = begun
        else:
            begun.stop()

    def hits(self) -> SearchAllView | None:
        """How the search of all files stands; None without one."""
        return self._searching.view() if self._searching is not None else None

    # --- work in threads ---------------------------------------------------------------------------------------------

    def work(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do it in a thread; `done` is called with what came of it, by `pump`. `work` says errors in its result."""
        threading.Thread(target=lambda: self._hand(work(), done), name="torchdoctor-read", daemon=True).start()

    def _hand(self, result: T, done: Callable[[T], None]) -> None:
        self._done.append(lambda: done(result))

    def pump(self) -> None:
        """Hand over what threads have done since."""
        while self._done:
            self._done.popleft()()


# --- in threads -------------------------------------------------------------------------------------------------------


def read_code(path: str, window: Window | None, language: str, *, ascii_only: bool) -> CodeText:
    """A file, or the payload at `window` of a trace, as a text to show; what is wrong is its `cause`."""
    try:
        data, more = _read(path, window, MOST_BYTES)
    except OSError as error:
        cause = "it is not on this machine" if isinstance(error, FileNotFoundError) else why(error)
        return CodeText(cause=f"{cause}: {path}", path=path)
    made = code_text(data, language, payload=window is not None, ascii_only=ascii_only, more=more)
    cause = "" if made.lines else "empty"
    return CodeText(made.lines, made.languages, cause, made.note, path)


def _read(path: str, window: Window | None, most: int) -> tuple[bytes, bool]:
    """(the bytes, whether there are more). A link is followed: it is the reader's own eyes that see what is there."""
    fd = open_regular(path)
    try:
        offset, size = window if window is not None else (0, os.fstat(fd).st_size)
        return os.pread(fd, min(size, most), offset), size > most
    finally:
        os.close(fd)


def read_source(file: str, near: Sequence[str], code: str, *, ascii_only: bool) -> CodeText:
    """A file of somebody's program. One that is not there is looked for by its name in the folders `near`.

    `code` is what stands in the line that is wanted, as the run told it: a file of that name is shown only if it has
    that line, and is said to be another.
    """
    here = read_code(file, None, "python", ascii_only=ascii_only)
    if here.lines or not here.cause.startswith("it is not"):
        return here
    name = os.path.basename(file)
    for folder in near:
        other = os.path.join(folder, name)
        found = read_code(other, None, "python", ascii_only=ascii_only)
        if found.lines and code.strip() and any(code.strip() == line.strip() for line in found.lines):
            note = f"another file of that name with the same line: {other}"
            return CodeText(found.lines, found.languages, "", note, other)
    return here


Part = tuple[str, Window | None, str]
"""(path, window, language) of a text to compare."""


def compare(left: Part, right: Part, title: str, *, ascii_only: bool) -> Compared:
    """Two graphs, row by row."""
    one, other = (read_code(*part, ascii_only=ascii_only) for part in (left, right))
    if not one.lines or not other.lines:
        return Compared(title=title, cause=one.cause or other.cause)
    pairs = aligned(one.lines, other.lines)
    same = "" if any(pair.change != "same" for pair in pairs) else "; they are the same"
    return Compared(one, other, pairs, title=title + same)


def link(graph: Part, code: Part, mappings: Part | None, title: str, *, ascii_only: bool) -> Compared:
    """A graph and the code that was made of it."""
    one, other = (read_code(*part, ascii_only=ascii_only) for part in (graph, code))
    if not one.lines or not other.lines:
        return Compared(title=title, cause=one.cause or other.cause)
    links = linked(one.lines, other.lines, _mappings(mappings))
    told = f"; lit by {links.source}" if links.source else "; nothing tells which lines belong together"
    return Compared(one, other, links=links, title=title + told)


def _mappings(part: Part | None) -> Mapping[str, Any]:
    """What the provenance says; {} where there is none, or it is not what it should be."""
    if part is None:
        return {}
    try:
        data, more = _read(part[0], part[1], MAPPINGS_BYTES)
        found = {} if more else json.loads(data)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def search_all(paths: Sequence[str], query: Query) -> SearchAll:
    """A search of many files, begun."""
    begun: SearchAll = import_module("torchprobes.compilelog.search_all").SearchAll(paths, query)
    return begun


# --- out of here ------------------------------------------------------------------------------------------------------


def write_explanation(folder: str, explanation: Explanation, text: str) -> str:
    """Write it as JSON and as text into new files of `folder`; where it is, or why it is not, in words."""
    stem = os.path.join(
        folder, f"explanation-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() // 10_000_000 % 100:02d}"
    )
    try:
        document = import_module("torchprobes.compilelog.ledger.document").document(explanation)
        with open(f"{stem}.json", "x", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        with open(f"{stem}.txt", "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        return f"not exported: {error.strerror or error}"
    return f"exported {stem}.json and .txt"


def tlparse(trace: str, folder: str) -> str:
    """Let tlparse make its HTML; where it is, or why there is none, in words."""
    made = import_module("torchprobes.compilelog.tlparse")
    program = made.find()
    if not program:
        return str(made.HOW_TO_GET_IT)
    out = os.path.join(folder, f"tlparse-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        return f"open {safe(made.html(trace, out, program))} in a browser"
    except made.TlparseError as error:
        return safe(str(error), limit=300)
