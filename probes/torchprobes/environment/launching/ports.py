"""Who listens on a port of this node. Standard library only.

/proc/net/tcp tells every listener of this network namespace with the user that owns it, whoever asks; which process
holds it, only its owner and root may see.
"""

from __future__ import annotations

import errno
import os
import socket

from .. import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_BYTES = 4 << 20
"""Of a table; it begins with the listeners."""

MOST_LISTENERS = 16
MOST_FILES = 4096
LISTEN = "0A"


def listeners(port: int) -> list[dict[str, Any]]:
    """The listeners on `port`: address, uid, user, and pid, started and command of the holder (None, "" unseen)."""
    found = [row for table in ("tcp", "tcp6") for row in _listening(table, port)][:MOST_LISTENERS]
    holders = _holders({row["inode"] for row in found}) if found else {}
    for row in found:
        pid = holders.get(row.pop("inode"))
        row["user"] = process.user(str(row["uid"]))
        row["pid"], row["started"], row["command"] = pid, None, ""
        if pid is not None:
            row.update(_described(pid))
    return found


def _listening(table: str, port: int) -> list[dict[str, Any]]:
    """Rows of /proc/net/tcp (proc(5)): local address 2nd, state 4th, uid 8th, inode 10th word."""
    try:
        text = process.read_file(f"/proc/net/{table}", MOST_BYTES).decode(errors="replace")
    except OSError:
        return []
    rows = [line.split() for line in text.splitlines()[1:]]
    wanted = [row for row in rows if len(row) > 9 and row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port]
    return [{"address": _address(row[1]), "uid": int(row[7]), "inode": row[9]} for row in wanted]


def _address(told: str) -> str:
    """An address as the kernel tells it: words of 32 bits in the order of the machine."""
    digits = told.rpartition(":")[0]
    words = [int(digits[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(digits), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))


def _holders(inodes: set[str]) -> dict[str, int]:
    """Inode of a socket -> a process that has it open, as far as we may look."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, int] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for link in _links(pid):
            if link in wanted:
                found.setdefault(wanted[link], int(pid))
        if len(found) == len(wanted):
            break
    return found


def _links(pid: str) -> list[str]:
    try:
        files = os.listdir(f"/proc/{pid}/fd")[:MOST_FILES]
    except OSError:
        return []
    links = []
    for file in files:
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{file}"))
        except OSError:
            continue
    return links


def _described(pid: int) -> dict[str, Any]:
    try:
        return {"started": process.ticks(pid), "command": process.command(pid)}
    except OSError:
        return {}


def bindable(port: int) -> str:
    """Why this user cannot listen on `port`, "" if it can: it is bound for a moment, and never listened on."""
    for family, anywhere in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):  # noqa: S104 - as TCPStore does
        try:
            with socket.socket(family, socket.SOCK_STREAM) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((anywhere, port))
                return ""
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return error.strerror or str(error)
    return "this machine has neither IPv6 nor IPv4"
