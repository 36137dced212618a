"""Small text files of the kernel, read within bounds; and why there is no number, in words.

Whatever stands in them is taken as text from outside: too long is cut, not UTF-8 is replaced, not a number is told.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ...cells import Absent, Cell, CellState

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 1 << 16
PIECE_BYTES: Final = 4096
"""Most files fit, and the memory for a larger piece costs more than the read."""

MAX_ENTRIES: Final = 4096
MAX_WORDS: Final = 200
"""A text in a cell is no longer: nobody reads on, and a sample is a line."""

Cells = Mapping[str, Cell]

_STATES: Final[Mapping[int, CellState]] = {
    errno.ENOENT: CellState.NOT_SUPPORTED,
    errno.ENOTDIR: CellState.NOT_SUPPORTED,
    errno.EOPNOTSUPP: CellState.NOT_SUPPORTED,  # pressure of a kernel that was started without psi=1
    errno.EINVAL: CellState.NOT_SUPPORTED,  # the speed of a link that is down
    errno.ENODEV: CellState.LOST,
    errno.ENXIO: CellState.LOST,
    errno.ESTALE: CellState.LOST,
    errno.EACCES: CellState.PERMISSION,
    errno.EPERM: CellState.PERMISSION,
    errno.ETIMEDOUT: CellState.HUNG,
}


class Roots(NamedTuple):
    """Where the kernel's file systems are mounted; tests put trees of their own there."""

    proc: str = "/proc"
    sys: str = "/sys"
    dev: str = "/dev"

    @classmethod
    def under(cls, root: Path) -> Roots:
        """Those of another root."""
        return cls(*(str(root / name) for name in ("proc", "sys", "dev")))


class Unexpected(ValueError):
    """A file of the kernel that does not hold what its documentation says."""


def text(path: str, limit: int = MAX_BYTES) -> str:
    """The first `limit` bytes of a file, as text. Does not wait for a writer, should the file be a pipe.

    Raises:
        OSError: with the file's name in it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        data = more = os.read(handle, min(limit, PIECE_BYTES))
        while more and len(data) < limit:
            more = os.read(handle, min(limit - len(data), PIECE_BYTES))
            data += more
    except OSError as error:  # read(2) knows no name
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(handle)
    return data.decode(errors="replace")


class Kept:
    """A file that is read again and again, and therefore kept open: that halves what a read of it costs."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle: int | None = None

    def text(self, limit: int = PIECE_BYTES) -> str:
        """Its first `limit` bytes as they are now, in one read.

        Raises:
            OSError: with the file's name in it; the next call opens it anew.
        """
        if self._handle is None:
            self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.pread(self._handle, limit, 0).decode(errors="replace")
        except OSError as error:
            os.close(self._handle)
            self._handle = None
            raise OSError(error.errno, error.strerror, self.path) from None


def words(path: str) -> str:
    """The text of a file of one line, cut to what fits into a cell."""
    return text(path, 4096).strip()[:MAX_WORDS]


def number(path: str) -> int:
    """The number that a file holds.

    Raises:
        OSError: if it cannot be read.
        Unexpected: if it holds something else.
    """
    return whole(words(path), path)


def whole(word: str, path: str) -> int:
    """A word of a file as a number that is not negative."""
    if not (word.isascii() and word.isdigit() and len(word) <= 20):
        raise Unexpected(f"{path} says {word[:40]!r} instead of a number")
    return int(word)


def pairs(content: str) -> dict[str, str]:
    """Lines of `name value` or `name: value …`, as in meminfo, vmstat and cpu.stat: name -> first word of the value."""
    found = {}
    for line in content.splitlines():
        name, _, rest = line.partition(" ")
        found[name.rstrip(":")] = rest.strip().partition(" ")[0]
    return found


def entries(path: str) -> list[str]:
    """Names in a folder, sorted, not more than MAX_ENTRIES.

    Raises:
        OSError: if it cannot be listed.
    """
    with os.scandir(path) as found:
        return sorted(entry.name for entry in islice(found, MAX_ENTRIES))


def names(path: str) -> list[str]:
    """The same; none of a folder that is not there or not for us."""
    try:
        return entries(path)
    except OSError:
        return []


def absent(error: Exception) -> Absent:
    """Why there is no number."""
    if not isinstance(error, OSError):
        return Absent(state=CellState.ERROR, why=str(error)[:MAX_WORDS] or type(error).__name__)
    state = _STATES.get(error.errno or 0, CellState.ERROR)
    where = str(error.filename or "it")[:MAX_WORDS]
    if error.errno == errno.ENOENT:
        return Absent(state=state, why=f"there is no {where}")
    return Absent(state=state, why=f"{where}: {error.strerror or 'unreadable'}", code=error.errno)


def cell(read: Callable[[], Cell]) -> Cell:
    """What is read, or why it cannot be."""
    try:
        return read()
    except (OSError, ValueError) as error:
        return absent(error)


def all_or_why(wanted: Iterable[str], read: Callable[[], Cells]) -> Cells:
    """The cells that are read, or for each of those wanted why they cannot be; one left out is told as not there."""
    try:
        found = read()
    except (OSError, ValueError) as error:
        found = dict.fromkeys(wanted, absent(error))
    return {name: found.get(name, _LEFT_OUT) for name in wanted}


_LEFT_OUT: Final = Absent(state=CellState.NOT_SUPPORTED, why="this kernel does not say it")
