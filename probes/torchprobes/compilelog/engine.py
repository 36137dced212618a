"""The engine of the Logs pane: a child walks, follows, reads and explains; this process holds what it says last.

`Engine.view` is an immutable snapshot, from any thread. Nothing here opens a file of the run. `explain` reads all that
is there once, in this process: for commands.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import msgspec

from .artefacts import ProcessNode
from .explanation import NOTHING, Explanation
from .tree import NO_TREE, Tree
from .wire import COMPILES_OF, FILES, GROUPS, Commit, Frames, Patch, Rows, Words, compiles_of

CHILD: Final = str(Path(__file__).with_name("engine_child.py"))


@dataclass(frozen=True, slots=True)
class LogsView:
    """What is there, and what it says, at one instant."""

    revision: int = 0
    tree: Tree = NO_TREE
    explanation: Explanation = NOTHING
    groups: tuple[ProcessNode, ...] = ()
    cause: str = ""
    """Why there will be nothing new: one line, "" while all is well. What was found stays."""


class Engine:
    """Follows `root` (a folder or a file, also one that is not there yet) in a child of its own."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)  # the child's folder is another
        self._view = LogsView(tree=Tree(root=self.root), explanation=replace(NOTHING, root=self.root))
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def start(self) -> Engine:
        """Start the child, in a thread: a file system can hold up even that."""
        threading.Thread(target=self._live, name="logs engine", daemon=True).start()
        return self

    def view(self) -> LogsView:
        """The newest snapshot."""
        return self._view

    def stop(self) -> None:
        """End the child; does not wait."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.kill()

    # --- the thread that listens ------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            child = self._spawn()
        except OSError as error:
            self._end(f"the reader of logs cannot start: {error.strerror or error}")
            return
        if child is None:
            return
        cause = ""
        try:
            cause = self._listen(child)
        except (ValueError, msgspec.MsgspecError) as error:
            cause = f"the reader of logs said what it should not: {error}"
        child.kill()
        code = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._end(cause or f"the reader of logs ended: {_ending(code)}")

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        argv = [sys.executable, "-I", "-B", CHILD, self.root]
        pipe = subprocess.PIPE
        child = subprocess.Popen(
            argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True
        )
        with self._lock:
            self._child = child
            if self._stopped:
                child.kill()
        return child

    def _listen(self, child: subprocess.Popen[bytes]) -> str:
        """Take in snapshots until the pipe ends; why it ended, where the child says it."""
        assert child.stdout is not None
        assembly = Assembly(self.root)
        cause = ""
        for frame in Frames(child.stdout):
            if isinstance(frame, Words):
                cause = frame.cause
            elif isinstance(frame, Patch):
                assembly.take(frame)
            else:
                self._view = assembly.view(frame)
        return cause

    def _end(self, cause: str) -> None:
        with self._lock:
            stopped = self._stopped
        if not stopped:
            self._view = replace(self._view, revision=self._view.revision + 1, cause=cause)


class Assembly:
    """Snapshots put together from what the child says; parts that did not change are the same objects again."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._rows = Rows()
        self._tree = Tree(root=root)
        self._groups: tuple[ProcessNode, ...] = ()
        self._touched: set[str] = set()

    def take(self, patch: Patch) -> None:
        """One patch of the next snapshot."""
        self._rows.take(patch)
        self._touched.add(patch.section)

    def view(self, commit: Commit) -> LogsView:
        """The snapshot that `commit` ends."""
        if FILES in self._touched or commit.tree_revision != self._tree.revision:
            files = self._rows.of(FILES) or ()
            self._tree = Tree(self._root, commit.tree_revision, files, commit.left_out, commit.tree_cause)
        if any(name == GROUPS or name.startswith(COMPILES_OF) for name in self._touched):
            heads = cast("tuple[ProcessNode, ...]", self._rows.of(GROUPS) or ())
            self._groups = tuple(replace(head, compiles=self._rows.of(compiles_of(head.key)) or ()) for head in heads)
        self._touched.clear()
        return LogsView(commit.revision, self._tree, self._rows.explanation(commit.head), self._groups)


def _ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def explain(root: str, deadline_s: float | None = None) -> Explanation:
    """All that the files below `root` say now, read once, here.

    With a `deadline_s` reading ends then; a note says how much was left.
    """
    from .gather import Gatherer  # the readers: half a hundred modules that a console, which only listens, never loads

    gatherer = Gatherer(os.path.abspath(root))
    gatherer.once(deadline_s)
    return gatherer.explanation()
