"""Whether some processes are joined by TCP connections, as the ranks of a process group are. Standard library only.

The sockets of a process are named in /proc/PID/fd, their ends in /proc/PID/net/tcp of its network namespace.
"""

from __future__ import annotations

import os

from . import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TABLE_BYTES: Final = 4 << 20
ESTABLISHED: Final = b"01"


def connected(proc: str, pids: list[int]) -> bool:
    """Whether two of them hold the two ends of one established connection."""
    holder = {inode: pid for pid in pids for inode in _sockets(proc, pid)}
    if not holder:
        return False
    ends: dict[tuple[bytes, bytes], int] = {}
    for table in ("tcp", "tcp6"):
        for local, remote, inode in _connections(f"{proc}/{pids[0]}/net/{table}"):
            pid = holder.get(inode)
            if pid is None:
                continue
            other = ends.get((remote, local))
            if other is not None and other != pid:
                return True
            ends[local, remote] = pid
    return False


def _sockets(proc: str, pid: int) -> set[bytes]:
    folder = f"{proc}/{pid}/fd"
    try:
        names = os.listdir(folder)[: reading.MOST_FILES]
    except OSError:
        return set()
    links = (reading.link(f"{folder}/{name}") for name in names)
    return {link[8:-1].encode() for link in links if link.startswith("socket:[")}


def _connections(path: str) -> list[tuple[bytes, bytes, bytes]]:
    """(local end, remote end, inode) of what is established (proc(5), /proc/net/tcp)."""
    try:
        rows = [line.split() for line in reading.read_file(path, TABLE_BYTES).splitlines()[1:]]
    except OSError:
        return []
    return [(row[1], row[2], row[9]) for row in rows if len(row) > 9 and row[3] == ESTABLISHED]
