"""A set of files that grows: new ones found by a walk, those that are read watched by held descriptors.

Polling is enough (2 % of a core for 1,000 files), needs no package and works on NFS, where inotify hears nothing of
other hosts. A folder that appears late, vanishes or cannot be read is said; a link is never followed, what is not a
regular file is never opened.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from .kinds import kind_of
from .living import on_network
from .logfile import Change
from .sources import Role
from .tail import CHECK_S, Tail
from .tree import FileView, Tree
from .walk import FILES, Walk

LOOK_S: Final = 0.05
"""How often held files are looked at."""

HOT_S: Final = 5.0
"""A file that grew so lately is looked at every time; the others as often as `SHARE` of a core allows."""

SHARE: Final = 0.003
"""The part of a core that looking at files which do not grow may cost, and looking carefully at them as much."""

CAREFUL: Final = 24
"""Files that are looked at carefully at once, in turn."""

LINGER_S: Final = 2.0
"""So long a deleted file that grows no more is held; its room on the disk is free only then."""

_TURN: Final = {role: turn for turn, role in enumerate(Role)}


class Follow:
    """The files below a root as they grow: `look` finds what is new, `waiting` says whose bytes to read next.

    For one thread, which the file system may hold up as long as it likes.
    """

    def __init__(self, root: str, hold: int) -> None:
        """At most `hold` descriptors stay open; growth of files beyond that is seen by the walk alone."""
        self.tails: dict[str, Tail] = {}
        self._walk = Walk(root)
        self._hold = hold
        self._queue: deque[Tail] = deque()
        self._opened = 0
        self._full = False
        self._owed: set[str] = set()
        self._ready: set[Tail] = set()
        self._network = False
        self._cold_at = self._careful_at = 0.0
        self._changes: list[tuple[Tail, Change]] = []
        self._dirty: set[str] = set()
        self._files: dict[str, FileView] = {}
        self._keys: dict[str, tuple[tuple[str, ...], int, str]] = {}
        self._tree = Tree(root=root)

    def look(self) -> bool:
        """Look for what is new wherever it is time to; whether anything is."""
        now = time.monotonic()
        walked = self._walk.look()
        if walked:
            self._match()
        self._full = False
        grown = self._glance(now)
        self._dirty |= grown
        checked = self._check(now, grown)
        return walked or checked or bool(grown)

    def waiting(self) -> list[Tail]:
        """Whose bytes wait to be read: who was read longest ago first, traces before text where nothing was read."""
        self._ready = {tail for tail in self._ready if tail.waits}
        return sorted(self._ready, key=lambda tail: (tail.grown_at, _TURN[tail.sourced.role], tail.path))

    def everything(self) -> Iterator[Tail]:
        """Every file that is read, opened in its turn: for one who reads all once, and closes each."""
        self._walk.look()
        self._match()
        now = time.monotonic()
        for tail in sorted(self.tails.values(), key=lambda tail: _TURN[tail.sourced.role]):
            self._one(tail, now)
            yield tail

    def unreadable(self) -> Iterator[Tail]:
        """Files that are there and should be read, but cannot be."""
        there = (tail for path, tail in self.tails.items() if path in self._walk.entries)
        return (tail for tail in there if tail.cause and not tail.held and not tail.rested)

    def changes(self) -> list[tuple[Tail, Change]]:
        """What became of files since the last call, before anything of their new content is read."""
        changes, self._changes = self._changes, []
        return changes

    def read(self, tail: Tail, count: int) -> bytes:
        """The next bytes of a file, at most `count`."""
        self._dirty.add(tail.path)
        return tail.read(count)

    def again(self) -> None:
        """Begin anew with all files that are there."""
        for tail in self.tails.values():
            tail.again()
            self._owed.add(tail.path)
        self._ready.update(self.tails.values())

    def close(self) -> None:
        """Let go of all files."""
        for tail in self.tails.values():
            tail.close()

    # --- what is there ----------------------------------------------------------------------------------------

    def tree(self) -> Tree:
        """All files as they are now; the same object while nothing changed."""
        changed = False
        for path in self._dirty:
            view = self._view(path)
            changed |= view is not None and view != self._files.get(path)
            if view is not None:
                self._files[path] = view
        self._dirty.clear()
        walk, before = self._walk, self._tree
        if changed or (walk.left_out, walk.cause) != (before.left_out, before.cause):
            files = tuple(sorted(self._files.values(), key=self._key))
            self._tree = Tree(walk.root, before.revision + 1, files, walk.left_out, walk.cause)
        return self._tree

    def _view(self, path: str) -> FileView | None:
        entry, tail, before = self._walk.entries.get(path), self.tails.get(path), self._files.get(path)
        if entry is None:
            return None if before is None else replace(before, gone=True)
        kind = before.kind if before is not None else kind_of(entry.name)
        view = FileView(path, entry.name, kind, entry.size, entry.changed_s)
        if tail is None:
            return view
        return replace(view, size_bytes=max(entry.size, tail.size), cause=tail.cause, counts=tail.counts)

    def _key(self, file: FileView) -> tuple[tuple[str, ...], int, str]:
        key = self._keys.get(file.path)
        if key is None:
            key = self._keys[file.path] = tuple(file.name.split("/")[:-1]), file.kind.order, file.name
        return key

    def _match(self) -> None:
        """Have a tail for every file that is read."""
        self._dirty |= self._walk.changed
        self._network = self._network or (not self._walk.cause and on_network(self._walk.root))
        sure = len({e.sourced.group for e in self._walk.entries.values() if e.sourced and e.sourced.group}) <= 1
        for path in sorted(self._walk.changed if sure else self._walk.entries):
            entry = self._walk.entries.get(path)
            if entry is None or entry.sourced is None:
                continue
            source = entry.sourced if sure or not entry.sourced.group else replace(entry.sourced, rank=None)
            tail = self.tails.get(path)
            if tail is None or tail.sourced != source:
                self._replace(tail, Tail(path, source, links=path == self._walk.root))
        self._forget_gone()

    def _replace(self, old: Tail | None, new: Tail) -> None:
        if old is not None:
            old.close()
            self._queue.remove(old)
            self._ready.discard(old)
        self.tails[new.path] = new
        self._queue.append(new)
        self._owed.add(new.path)

    def _forget_gone(self) -> None:
        """Of what came and went only so many stay in the list."""
        if len(self._files) > 2 * FILES + len(self.tails):
            self._files = {path: file for path, file in self._files.items() if not file.gone or path in self.tails}
            self._keys.clear()

    # --- what grows -------------------------------------------------------------------------------------------

    def _glance(self, now: float) -> set[str]:
        """Paths of files that have grown: those that grew lately at every look, the others when they may cost."""
        cold = now >= self._cold_at
        begun = time.thread_time()
        grown = {path for path in self._walk.changed | self._owed if self._grew_unheld(path)}
        self._owed = set(grown)
        for path, tail in self.tails.items():
            if (cold or now - tail.grown_at < HOT_S) and tail.glance():
                grown.add(path)
        if cold:
            self._cold_at = now + (time.thread_time() - begun) / SHARE
        return grown

    def _grew_unheld(self, path: str) -> bool:
        entry, tail = self._walk.entries.get(path), self.tails.get(path)
        return tail is not None and entry is not None and not tail.held and entry.size != tail.offset

    def _check(self, now: float, grown: set[str]) -> bool:
        """Look carefully at what grew, and at some of the others in turn; whether anything else changed."""
        changed = [self._one(self.tails[path], now) for path in grown]
        if now < self._careful_at:
            return any(changed)
        begun = time.thread_time()
        for _ in range(min(len(self._queue), CAREFUL)):
            tail = self._queue[0]
            self._queue.rotate(-1)
            lost = tail.path not in self._walk.entries and not tail.held
            if now - tail.checked_at >= CHECK_S and not tail.rested and not lost:
                changed.append(self._one(tail, now))
        self._careful_at = now + (time.thread_time() - begun) / SHARE
        return any(changed)

    def _one(self, tail: Tail, now: float) -> bool:
        before = tail.cause, tail.size
        if tail.held and self._network:
            tail.rest()  # only opening a file makes NFS ask for its size
        if not tail.held and not self._room():
            return False
        self._owed.discard(tail.path)
        change = tail.check(now)
        if change is not Change.NONE:
            self._changes.append((tail, change))
        if tail.waits:
            self._ready.add(tail)
        if tail.path not in self._walk.entries and not tail.waits and now - tail.grown_at > LINGER_S:
            tail.close()
        if change is Change.NONE and (tail.cause, tail.size) == before:
            return False
        self._dirty.add(tail.path)
        return True

    def _room(self) -> bool:
        """Whether one more file may be opened: of those that are held, a quarter of the read ones is let go for it."""
        if self._opened < self._hold:
            self._opened += 1
            return True
        if self._full:  # nothing was read since
            return False
        held = sorted((tail for tail in self.tails.values() if tail.held), key=lambda tail: tail.grown_at)
        for tail in [tail for tail in held if not tail.waits and not tail.glance()][: max(1, self._hold // 4)]:
            tail.rest()
        self._opened = sum(tail.held for tail in held)
        self._full = self._opened >= self._hold
        return not self._full and self._room()
