"""A search in all files of a run: how often, and where first, file by file, in a child that can be killed."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .search import Query
from .spawn import let_go, spawn


@dataclass(frozen=True, slots=True)
class FileHits:
    """What a search found in one file."""

    path: str
    count: int = 0
    """Lines that match."""
    first: int | None = None
    """The first of them, counted from 0; None if there is none."""
    cause: str = ""
    """Why the file was not searched (to its end); "" if it was."""


@dataclass(frozen=True, slots=True)
class SearchAllView:
    """A search in all files at one instant."""

    query: Query
    files: tuple[FileHits, ...] = ()
    """Those with hits, and those that could not be searched, in the order of the paths."""
    searched: int = 0
    """Files that were searched."""
    total: int = 0
    count: int = 0
    """Lines that match, in all files searched so far."""
    finished: bool = False
    cause: str = ""
    """Why it ended early: one line; "" if it did not."""


class SearchAll:
    """One search in many files as they are now; `view` may be asked from any thread."""

    def __init__(self, paths: Sequence[str], query: Query) -> None:
        self._paths = list(paths)
        self._view = SearchAllView(query, total=len(self._paths))
        self._stopped = False
        self._child: subprocess.Popen[bytes] | None = None
        try:
            child = spawn("search_all_child.py")
        except (OSError, ValueError) as error:
            self._view = replace(self._view, cause=f"it could not start: {error}")
            return
        self._child = child
        threading.Thread(target=self._listen, args=(child,), name="search all", daemon=True).start()

    def view(self) -> SearchAllView:
        """The newest view."""
        return self._view

    def stop(self) -> None:
        """End it; does not wait."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            request = {"paths": self._paths, "search": self._view.query.asked}
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            for line in child.stdout:
                self._take(json.loads(line))
        except (OSError, ValueError):
            child.kill()
        code = let_go(child)
        if not (self._view.finished or self._view.cause or self._stopped):
            self._view = replace(self._view, cause=f"it ended early ({code})")

    def _take(self, told: dict[str, object]) -> None:
        view = self._view
        if "finished" in told:
            self._view = replace(view, finished=True)
            return
        if "at" not in told:
            self._view = replace(view, cause=str(told["cause"]))
            return
        first = told["first"]
        hits = FileHits(
            self._paths[int(str(told["at"]))], int(str(told["count"])),
            None if first is None else int(str(first)), str(told["cause"]),
        )  # fmt: skip
        files = (*view.files, hits) if hits.count or hits.cause else view.files
        self._view = replace(view, files=files, searched=view.searched + 1, count=view.count + hits.count)
