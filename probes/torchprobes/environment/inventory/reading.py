"""How an item of the inventory is gathered: what was read, what could not be, and what is not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from ..places import read_regular

MOST_BYTES = 256 << 10
MOST_VALUE = 4096
MOST_NAMES = 6000
"""Names in one item: a Python has hundreds of packages, a node some dozens of anything else."""

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.EINVAL, errno.EOPNOTSUPP})
"""What a kernel answers where a file, or what stands behind it, does not exist here."""


class Told:
    """Values by name, and why a name has none."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.unread: dict[str, str] = {}

    def put(self, name: str, value: object) -> None:
        """One value as text on one line; one that is empty is none."""
        text = " ".join(str(value).split())
        if not text:
            return
        if len(self.values) >= MOST_NAMES:
            self.unread[""] = f"only the first {MOST_NAMES} are told"
            return
        self.values[name[:256]] = text if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]} [cut]"

    def take(self, name: str, read: Callable[[], object]) -> None:
        """The value that `read` returns, "" or a file that does not exist for none; else why it cannot be read."""
        try:
            self.put(name, read())
        except OSError as error:
            if error.errno not in _NOT_THERE:
                self.unread[name] = words(error)
        except (ValueError, IndexError):
            self.unread[name] = "the kernel says it in a way that is not understood"

    def answer(self) -> list[dict[str, str]]:
        """What goes over the pipe."""
        return [self.values, self.unread]


def words(error: OSError) -> str:
    """Why something could not be read, for a person."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return " ".join(text.lower().split()) or "it cannot be read"


def text(path: str, most: int = MOST_BYTES) -> str:
    """A small file of the kernel's or the system's, without the white space around it.

    Raises:
        OSError: if it cannot be read, or is no regular file.
    """
    return read_regular(path, most).decode(errors="replace").strip()


def names(folder: str) -> list[str]:
    """What is in a folder, sorted; [] where there is none, or it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def word(path: str) -> str:
    """The text of a small file, "" if it cannot be read: for what only adds to something else."""
    try:
        return text(path, 4096)
    except OSError:
        return ""
