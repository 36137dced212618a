"""What lies below a root, seen again and again at little cost: folders by their own time, files when they are young.

A folder's time changes when an entry comes or goes, so a look costs one stat a folder; only a folder that changed is
listed again, for as long as a coarse clock could hide a second change. What was written into a file that was there
already is seen by stat while the file is young, and for all by a listing of everything now and then. Works on NFS,
where inotify hears nothing of other hosts.
"""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from .logfile import why
from .sources import Sourced, sniffed, sourced

LOOK_S: Final = 0.1
"""How often folders are looked at where that is cheap."""

LIST_S: Final = 1.0
"""How often everything is listed anew where that is cheap."""

SLOWEST_S: Final = 5.0
SHARE: Final = 0.003
"""The part of a core that looking may cost, and listing again as much; both are done less often where they are dear."""

YOUNG_S: Final = 2.0
"""So long after a change a folder or a file is looked into at every look: times may be whole seconds."""

FILES: Final = 5_000
"""Files listed at most; of those that the readers read, twice as many."""

FOLDERS: Final = 5_000
LISTED: Final = 100_000
"""Entries of one folder that are looked at."""

DEPTH: Final = 12


@dataclass(slots=True)
class Entry:
    """One regular file."""

    path: str
    name: str
    """Its path below the root."""
    sourced: Sourced | None
    """What the readers make of it; None for a file that they leave alone."""
    size: int = 0
    changed_s: float = 0.0
    young_until: float = 0.0
    """Monotonic: until then its size may still change."""


@dataclass(slots=True)
class _Folder:
    path: str
    below: str
    """Its path below the root, with a slash at its end; "" for the root."""
    depth: int
    changed_ns: int = -1
    inode: int = 0
    young_until: float = 0.0
    files: dict[str, Entry] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    left_out: int = 0


class Walk:
    """The files below `root`, or `root` itself if it is one. `look` may block as long as the file system likes."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.entries: dict[str, Entry] = {}
        """Path → what is there now."""
        self.cause = ""
        """Why nothing can be listed; "" otherwise."""
        self.changed: set[str] = set()
        """Paths that came, went or changed their size in the last look."""
        self._folders: dict[str, _Folder] = {}
        self._look_at = self._list_at = 0.0

    @property
    def left_out(self) -> int:
        """Files and folders that were not looked at because there are too many, or too deep ones."""
        return sum(folder.left_out for folder in self._folders.values())

    def look(self) -> bool:
        """Look, if it is time; whether anything is `changed`, or there is another cause."""
        now = time.monotonic()
        self.changed = set()
        if now < min(self._look_at, self._list_at):
            return False
        listing = now >= self._list_at
        begun = time.thread_time()
        cause = self.cause
        self._see(now, everything=listing)
        after = time.monotonic()
        pause = min(SLOWEST_S, max((time.thread_time() - begun) / SHARE, after - now))
        self._look_at = after + max(LOOK_S, 0.0 if listing else pause)
        if listing:
            self._list_at = after + max(LIST_S, pause)
        return bool(self.changed) or self.cause != cause

    def _see(self, now: float, *, everything: bool) -> None:
        try:
            top = os.stat(self.root)
            if stat.S_ISREG(top.st_mode):
                self._one_file(top, now)
                self.cause = ""
                return
            if not stat.S_ISDIR(top.st_mode):
                raise OSError(0, "neither a folder nor a regular file")
            self._root_folder()
            self._look_at_folders(now, everything=everything)
            self.cause = ""
        except OSError as error:
            self._forget(self.root)
            self._drop(list(self.entries))
            self.cause = "not there yet" if isinstance(error, FileNotFoundError) else why(error)

    def _one_file(self, top: os.stat_result, now: float) -> None:
        entry = self.entries.get(self.root)
        if entry is None or (top.st_size and not entry.size):  # an empty file tells nothing of its format
            self._forget(self.root)
            entry = Entry(self.root, os.path.basename(self.root), sniffed(self.root))
            self.entries = {self.root: entry}
            self.changed.add(self.root)
        self._sized(entry, top, now)

    # --- folders ----------------------------------------------------------------------------------------------

    def _root_folder(self) -> None:
        if self.root not in self._folders:
            self._drop(list(self.entries))
            self._folders[self.root] = _Folder(self.root, "", 0)

    def _look_at_folders(self, now: float, *, everything: bool) -> None:
        for folder in list(self._folders.values()):
            if folder.path in self._folders:  # it may have gone with its parent
                self._look_into(folder, now, everything=everything)
        if not everything:
            self._look_at_young(now)

    def _look_into(self, folder: _Folder, now: float, *, everything: bool) -> None:
        """List the folder if it may have changed, and at once what is new in it."""
        waiting = [folder]
        while waiting:
            at = waiting.pop()
            required = at.path == self.root
            try:
                seen = os.stat(at.path, follow_symlinks=required)
                if not stat.S_ISDIR(seen.st_mode):
                    raise NotADirectoryError(0, "no folder any more")
                if (seen.st_mtime_ns, seen.st_ino) != (at.changed_ns, at.inode):
                    at.changed_ns, at.inode, at.young_until = seen.st_mtime_ns, seen.st_ino, now + YOUNG_S
                elif not everything and now > at.young_until:
                    continue
                waiting += self._list(at, now)
            except OSError:
                self._forget(at.path)
                if required:
                    raise

    def _list(self, folder: _Folder, now: float) -> list[_Folder]:
        """Take in the entries of one folder; the folders in it that are new."""
        with os.scandir(folder.path) as found:
            entries = list(itertools.islice(found, LISTED))
            folder.left_out = next(found, None) is not None
        files, inner = _sorted(entries)
        new = self._inner(folder, inner)
        self._drop([entry.path for name, entry in folder.files.items() if name not in files])
        folder.files = {name: entry for name, entry in folder.files.items() if name in files}
        for name, found_entry in files.items():
            try:
                self._file(folder, name, found_entry, now)
            except OSError:  # went between listing and looking
                continue
        return new

    def _inner(self, folder: _Folder, names: set[str]) -> list[_Folder]:
        for name in folder.folders - names:
            self._forget(os.path.join(folder.path, name))
        new: list[_Folder] = []
        for name in sorted(names):
            path = os.path.join(folder.path, name)
            if path in self._folders:
                continue
            if folder.depth + 1 >= DEPTH or len(self._folders) >= FOLDERS:
                folder.left_out += 1
                continue
            new.append(_Folder(path, f"{folder.below}{name}/", folder.depth + 1))
            self._folders[path] = new[-1]
        folder.folders = {name for name in names if os.path.join(folder.path, name) in self._folders}
        return new

    def _file(self, folder: _Folder, name: str, found: os.DirEntry[str], now: float) -> None:
        entry = folder.files.get(name)
        if entry is None:
            below = f"{folder.below}{name}"
            role = sourced(found.path, below)
            if len(self.entries) >= (FILES if role is None else 2 * FILES):
                folder.left_out += 1
                return
            entry = folder.files[name] = self.entries[found.path] = Entry(found.path, below, role)
            self.changed.add(found.path)
        self._sized(entry, found.stat(follow_symlinks=False), now)

    def _sized(self, entry: Entry, found: os.stat_result, now: float) -> None:
        if (found.st_size, found.st_mtime) != (entry.size, entry.changed_s):
            entry.size, entry.changed_s = found.st_size, found.st_mtime
            entry.young_until = now + YOUNG_S
            self.changed.add(entry.path)

    def _look_at_young(self, now: float) -> None:
        for entry in list(self.entries.values()):
            if entry.young_until > now:
                try:
                    self._sized(entry, os.stat(entry.path, follow_symlinks=False), now)
                except OSError:  # its folder's time tells that it went
                    continue

    def _forget(self, path: str) -> None:
        """A folder is gone, with all that lay in it."""
        waiting = [path]
        while waiting:
            folder = self._folders.pop(waiting.pop(), None)
            if folder is not None:
                waiting += (os.path.join(folder.path, name) for name in folder.folders)
                self._drop([entry.path for entry in folder.files.values()])

    def _drop(self, paths: Iterable[str]) -> None:
        for path in paths:
            if self.entries.pop(path, None) is not None:
                self.changed.add(path)


def _sorted(entries: list[os.DirEntry[str]]) -> tuple[dict[str, os.DirEntry[str]], set[str]]:
    """Regular files and folders of a listing, the files in the order of their names; links and others are neither."""
    files: dict[str, os.DirEntry[str]] = {}
    folders: set[str] = set()
    for entry in sorted(entries, key=lambda entry: entry.name):
        try:
            if entry.is_dir(follow_symlinks=False):
                folders.add(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files[entry.name] = entry
        except OSError:
            continue
    return files, folders
