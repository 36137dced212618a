"""Who is at the other end of a TCP connection within this host: told by the kernel, not by whoever answers."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final

_MOST_BYTES: Final = 4 << 20
_MOST_HANDLES: Final = 4096
_TABLES: Final = ("tcp", "tcp6")


def holds_other_end(connection: socket.socket, pids: Sequence[int]) -> bool:
    """Whether one of these processes has the socket that our connection ends in; False if that cannot be seen.

    The table of the calling thread's network namespace is read (proc(5), /proc/thread-self/net/tcp): the row whose
    remote port is ours. Whose socket that is, its process's handles say, which only its owner and root may look at.
    """
    ours, theirs = connection.getsockname()[1], connection.getpeername()[1]
    inodes = {inode for table in _TABLES for inode in _inodes(table, theirs, ours)}
    links = {f"socket:[{inode}]" for inode in inodes}
    return bool(links) and any(links & set(_handles(pid)) for pid in pids)


def _inodes(table: str, local: int, remote: int) -> list[str]:
    """The inodes of connections from that local port to that remote one; 0 (not accepted yet) is none."""
    try:
        with open(f"/proc/thread-self/net/{table}", "rb") as file:
            lines = file.read(_MOST_BYTES).decode("ascii", "replace").splitlines()[1:]
    except OSError:
        return []
    rows = (line.split() for line in lines)
    ends = (f":{local:04X}", f":{remote:04X}")
    return [
        row[9]
        for row in rows
        if len(row) > 9 and row[1].endswith(ends[0]) and row[2].endswith(ends[1]) and row[9] != "0"
    ]


def _handles(pid: int) -> list[str]:
    """What the handles of a process are, as links; [] where that is not ours to see."""
    folder = f"/proc/{pid}/fd"
    try:
        return [_link(f"{folder}/{name}") for name in os.listdir(folder)[:_MOST_HANDLES]]
    except OSError:
        return []


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
