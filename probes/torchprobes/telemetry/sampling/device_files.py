"""Who has a GPU's device file open: the processes on a GPU that the driver gives no answer about. Reads /proc only."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...cells import UNREAD, Absent, Cell, CellState

AGAIN_S: Final = 5.0
MOST_FILES: Final = 4096
"""So many open files of one process are looked at."""

_NODE: Final = re.compile(r"/dev/nvidia(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Open:
    """Minor number of a GPU -> the pids that have its device file open; how many processes may not be looked at."""

    pids: dict[int, tuple[int, ...]] = field(default_factory=dict)
    denied: int = 0
    looked: bool = False

    def cell(self) -> Cell:
        """How many processes were found, or that others may be there which this user may not see."""
        if not self.looked:
            return UNREAD
        if self.denied:
            why = f"the open files of {self.denied} processes of other users may not be looked at"
            return Absent(state=CellState.PERMISSION, why=why)
        return len({pid for pids in self.pids.values() for pid in pids})


def look(root: Path = Path("/")) -> Open:
    """Look through the open files of all processes, but of this one."""
    found: dict[int, list[int]] = {}
    denied = 0
    for pid in _pids(root / "proc"):
        try:
            minors = _minors(root / "proc" / str(pid) / "fd")
        except PermissionError:
            denied += 1
            continue
        except OSError:  # it has ended
            continue
        for minor in minors:
            found.setdefault(minor, []).append(pid)
    return Open({minor: tuple(pids) for minor, pids in found.items()}, denied, looked=True)


def _pids(proc: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(proc) if name.isdecimal() and int(name) != os.getpid())
    except OSError:
        return []


def _minors(folder: Path) -> set[int]:
    minors = set()
    for name in os.listdir(folder)[:MOST_FILES]:
        try:
            found = _NODE.fullmatch(os.readlink(folder / name))
        except FileNotFoundError:
            continue
        if found is not None:
            minors.add(int(found.group(1)))
    return minors


class DeviceFiles:
    """Looks again and again, in a thread of its own, as long as somebody wants it."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.found = Open()
        self._root = root
        self._wanted = threading.Event()

    def start(self) -> None:
        """Begin; nothing is looked at before it is wanted."""
        threading.Thread(target=self._run, name="device files", daemon=True).start()

    def want(self, wanted: bool) -> None:
        """Whether a driver hangs, so that this is all that can be known."""
        if wanted:
            self._wanted.set()
        elif self.found.looked or self._wanted.is_set():
            self._wanted.clear()
            self.found = Open()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wanted.wait()
            found = look(self._root)
            if self._wanted.is_set():
                self.found = found
            pause.wait(AGAIN_S)
