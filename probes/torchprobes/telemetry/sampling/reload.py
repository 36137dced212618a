"""Whether the driver was taken away or exchanged under us.

Reads /sys and /proc/self only, and calls no driver.
"""

from __future__ import annotations

import os
from pathlib import Path

Print = tuple[int, int, int]


class Ground:
    """The kernel's module and the library's file as they were when the library was opened."""

    def __init__(self, root: Path = Path("/"), library: str = "libnvidia-ml") -> None:
        self._module = root / "sys/module/nvidia"
        self._library = library
        self._paths: tuple[Path, ...] = ()
        self._prints: tuple[Print | None, ...] = ()
        self.is_remembered = False

    def remember(self) -> None:
        """The library was opened: this is how things should stay."""
        self._paths = (self._module, *_mapped(self._library))
        self._prints = tuple(_print(path) for path in self._paths)
        self.is_remembered = True

    def change(self) -> str:
        """What has changed since, in words; "" if nothing has."""
        for path, before in zip(self._paths, self._prints, strict=True):
            now = _print(path)
            if now == before:
                continue
            if path == self._module:
                return "the kernel's module was unloaded" if now is None else "the kernel's module was loaded anew"
            return f"the driver library was exchanged: {path}"
        return ""


def _mapped(library: str) -> list[Path]:
    """The names under which this process loaded a library: the file itself, and the link that is looked up."""
    try:
        with open("/proc/self/maps", errors="replace") as maps:
            files = {words[5].strip() for line in maps if library in line and len(words := line.split(None, 5)) > 5}
    except OSError:
        return []
    folders = {os.path.dirname(file) for file in files}
    return sorted({Path(file) for file in files} | {Path(folder) / f"{library}.so.1" for folder in folders})


def _print(path: Path) -> Print | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, 0 if path.is_dir() else found.st_mtime_ns
