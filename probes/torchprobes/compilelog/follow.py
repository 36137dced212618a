"""A set of files that grows: new ones found by a walk, known ones watched by held descriptors. One daemon thread.

Polling is enough (1 % of a core for 1,000 files), needs no package and works on NFS, where inotify hears nothing of
other hosts. A folder that appears late, vanishes or cannot be read is said; a link is never followed, what is not a
regular file is never opened.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .kinds import Kind, kind_of
from .logfile import open_regular, why
from .marks import Mark, Marks

LOOK_S = 0.05
"""How often held files are looked at."""

WALK_S = 0.75
"""How often folders are walked for what is new."""

HELD = 64
"""Descriptors held at most: those of the files that changed last."""

FILES = 5_000
"""Files listed at most."""

DEPTH = 12

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileView:
    """One file of the set."""

    path: str
    name: str
    """Its path below the root."""
    kind: Kind
    size_bytes: int = 0
    changed_s: float = 0.0
    """Wall clock second of its last change."""
    gone: bool = False
    """It was there, and is no more."""
    cause: str = ""
    """Why it cannot be read; "" if it can."""
    counts: tuple[tuple[Mark, int], ...] = ()
    """Marks in what a growing text said so far; without those that are 0."""


@dataclass(frozen=True, slots=True)
class Tree:
    """All files at one instant."""

    root: str = ""
    revision: int = 0
    files: tuple[FileView, ...] = ()
    left_out: int = 0
    """Files beyond the limit, not listed."""
    cause: str = ""
    """Why nothing is there: the root is missing or refused; "" otherwise."""


NO_TREE = Tree()


class Follower:
    """Follows a folder or one file; `view` gives the newest tree, from any thread."""

    def __init__(self, root: str) -> None:
        self._tree = Tree(root=root)
        self._root = root
        self._files: dict[str, FileView] = {}
        self._held: dict[str, _Held] = {}
        self._ended = threading.Event()
        self._walked_s = -WALK_S

    def start(self) -> Follower:
        """Start the thread."""
        threading.Thread(target=self._live, name="follower", daemon=True).start()
        return self

    def view(self) -> Tree:
        """The newest tree."""
        return self._tree

    def stop(self) -> None:
        """Let the thread end; does not wait."""
        self._ended.set()

    # --- the thread -------------------------------------------------------------------------------------------

    def _live(self) -> None:
        while True:
            self.step()
            if self._ended.wait(LOOK_S):
                break
        for held in self._held.values():
            held.close()

    def step(self) -> None:
        """One look, with a walk when it is time; the thread's body, callable by tests without a thread."""
        now = time.monotonic()
        left_out, cause = self._tree.left_out, self._tree.cause
        if now - self._walked_s >= WALK_S:
            self._walked_s = now
            left_out, cause = self._walk()
            self._hold()
        for path, held in self._held.items():
            if path in self._files:
                self._files[path] = held.look(self._files[path])
        files = tuple(sorted(self._files.values(), key=_order))
        if (files, left_out, cause) != (self._tree.files, self._tree.left_out, self._tree.cause):
            self._tree = Tree(self._root, self._tree.revision + 1, files, left_out, cause)

    def _walk(self) -> tuple[int, str]:
        """List what is there now; (files left out, why the root cannot be listed)."""
        seen: set[str] = set()
        left_out, cause = 0, ""
        try:
            for path, name, size, changed in _list(self._root):
                if len(seen) >= FILES:
                    left_out += 1
                    continue
                seen.add(path)
                old = self._files.get(path) or FileView(path, name, kind_of(name))
                self._files[path] = replace(old, size_bytes=size, changed_s=changed, gone=False)
        except OSError as error:
            cause = "not there yet" if isinstance(error, FileNotFoundError) else why(error)
        for path in self._files.keys() - seen:
            self._files[path] = replace(self._files[path], gone=True)
        return left_out, cause

    def _hold(self) -> None:
        """Hold the growing files that changed last; let go of the others, and of those that were replaced."""
        grows = [file for file in self._files.values() if file.kind.grows and not file.gone]
        newest = {file.path for file in sorted(grows, key=lambda file: -file.changed_s)[:HELD]}
        for path in self._held.keys() - newest:
            self._held.pop(path).close()
        for path in sorted(newest):
            if path in self._held and self._held[path].named():
                continue
            if path in self._held:
                self._held.pop(path).close()
            try:
                self._held[path] = _Held(path)
                cause = ""
            except OSError as error:
                cause = why(error)
            self._files[path] = replace(self._files[path], cause=cause)


class _Held:
    """A growing file that is held open: its size, and the marks in it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = open_regular(path)
        self._done = 0
        self._marks = Marks(kept=0)

    def named(self) -> bool:
        """Whether the path still names this file."""
        try:
            named, held = os.stat(self._path), os.fstat(self._fd)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)

    def look(self, old: FileView) -> FileView:
        """The view of the file now; at most one slice of new text is read."""
        try:
            held = os.fstat(self._fd)
            if held.st_size < self._done:
                self._done, self._marks = 0, Marks(kept=0)
            if old.kind.language == "log" and old.kind.name != "trace" and held.st_size > self._done:
                data = os.pread(self._fd, _CHUNK, self._done)
                self._done += len(data)
                self._marks.feed(data)
        except OSError as error:
            return replace(old, cause=why(error))
        counts = tuple((mark, count) for mark, count in self._marks.counts.items() if count)
        return replace(old, size_bytes=held.st_size, changed_s=held.st_mtime, counts=counts)

    def close(self) -> None:
        os.close(self._fd)


def _list(root: str) -> Iterator[tuple[str, str, int, float]]:
    """(path, name, bytes, mtime) of every regular file below `root`, or of `root` if it is one."""
    top = os.stat(root)
    if stat.S_ISREG(top.st_mode):
        yield root, os.path.basename(root), top.st_size, top.st_mtime
        return
    if not stat.S_ISDIR(top.st_mode):
        raise OSError(0, "neither a folder nor a regular file")
    folders = [("", root)]
    while folders:
        below, folder = folders.pop()
        for entry in _entries(folder, required=folder == root):
            name = f"{below}{entry.name}"
            try:
                if entry.is_dir(follow_symlinks=False) and name.count("/") < DEPTH:
                    folders.append((f"{name}/", entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield entry.path, name, found.st_size, found.st_mtime
            except OSError:  # went between listing and looking
                continue


def _entries(folder: str, *, required: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        if required:
            raise
        return []


def _order(file: FileView) -> tuple[tuple[str, ...], int, str]:
    folder = tuple(file.name.split("/")[:-1])
    return folder, file.kind.order, file.name
