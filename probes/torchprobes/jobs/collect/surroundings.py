"""What a rank was started with, and where it lives: read once a rank, in a thread that may hang.

Reading an environment waits for the process's memory lock. Only the variables that say where evidence lies are kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from ...distributed import RankIdentity

WANTED: Final = (
    "NCCL_RAS_ADDR", "NCCL_RAS_ENABLE", "NCCL_DEBUG_FILE", "TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE",
    "TORCH_NCCL_DEBUG_INFO_PIPE_FILE", "HOME", "XDG_CACHE_HOME",
)  # fmt: skip

_MOST_BYTES: Final = 1 << 20
_LOCAL: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})\n +/32 host LOCAL")


class Surroundings(NamedTuple):
    """`environment` holds what is WANTED and set. `root` is "" or the folder that is the rank's `/` for us.

    `foreign_network` says that it lives in another network namespace, `addresses` are this host's as it sees them.
    """

    environment: Mapping[str, str] = {}
    root: str = ""
    foreign_network: bool = False
    addresses: frozenset[str] = frozenset()
    why: str = ""


def surroundings(rank: RankIdentity, proc: str = "/proc") -> Surroundings:
    """Those of one rank; what is denied is left out, and `why` says so."""
    try:
        with open(f"{proc}/{rank.pid}/environ", "rb", buffering=0) as file:
            raw = file.read(_MOST_BYTES) or b""
        why = ""
    except OSError as error:
        raw, why = b"", f"its environment is not readable: {error.strerror}"
    rows = (row.partition("=") for row in raw.decode(errors="replace").split("\0"))
    return Surroundings(
        environment={name: value[:4096] for name, _, value in rows if name in WANTED and value},
        root=f"{proc}/{rank.pid}/root" if _differs(rank.pid, "mnt", proc) else "",
        foreign_network=_differs(rank.pid, "net", proc),
        addresses=_addresses(rank.pid, proc),
        why=why,
    )


def _differs(pid: int, kind: str, proc: str) -> bool:
    """Whether it lives in another namespace than we do; one that may not be looked at counts as the same."""
    try:
        return os.readlink(f"{proc}/{pid}/ns/{kind}") != os.readlink(f"{proc}/self/ns/{kind}")
    except OSError:
        return False


def _addresses(pid: int, proc: str) -> frozenset[str]:
    """The addresses of its network namespace; empty if they cannot be read."""
    found = set(_LOCAL.findall(_text(f"{proc}/{pid}/net/fib_trie")))
    for line in _text(f"{proc}/{pid}/net/if_inet6").splitlines():
        digits = line.split(" ", 1)[0]
        if re.fullmatch(r"[0-9a-f]{32}", digits):
            found.add(_compressed(digits))
    return frozenset(found)


def _compressed(digits: str) -> str:
    """An IPv6 address as inet_ntop writes it."""
    import socket

    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))


def _text(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            parts, left = [], _MOST_BYTES
            while left > 0 and (part := file.read(left)):
                parts.append(part)
                left -= len(part)
        return b"".join(parts).decode("ascii", "replace")
    except OSError:
        return ""
