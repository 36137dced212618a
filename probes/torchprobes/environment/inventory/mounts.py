"""The file system under a place that matters: its type, where it is mounted, how, and its size. Bytes in GiB."""

from __future__ import annotations

import os
import re

from .reading import Told, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REMOTE = re.compile(r"nfs4?|cifs|smb3|lustre|beegfs|gpfs|ceph|glusterfs|9p|virtiofs|fuse\..*|afs|orangefs|wekafs")
"""Types whose source is a server, and so a part of what they are; a local device's name says nothing."""

_NOISE = re.compile(r"(size|nr_inodes|inode64|addr|clientaddr|mountaddr|lowerdir|upperdir|workdir|fd|pgrp|uuid)(=.*)?$")
"""Options that differ from boot to boot, or are told better elsewhere."""


def mount(root: str, name: str, path: str) -> Any:
    """The one place; of one that is not made yet, the nearest folder above it."""
    told = Told()
    told.take(name, lambda: _described(root, path))
    return told.answer()


def _described(root: str, path: str) -> str:
    real = os.path.realpath(path)
    while not os.path.exists(real) and real != "/":
        real = os.path.dirname(real)
    room = os.statvfs(real)
    at, kind, options, source = _mounted(text(f"{root}/proc/self/mountinfo", 4 << 20), real)
    where = f" from {source}" if _REMOTE.fullmatch(kind) else ""
    return f"{kind}{where} on {at} ({options}), {_size(room.f_blocks * room.f_frsize)}"


def _size(number: int) -> str:
    return f"{number / 2**30:.3g} GiB"


def _mounted(table: str, path: str) -> tuple[str, str, str, str]:
    """Mount point, type, options and source of the last mount that holds `path` (proc_pid_mountinfo(5)).

    Raises:
        ValueError: if none does.
    """
    best: tuple[str, str, str, str] | None = None
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields, rest = left.split(), right.split()
        if len(fields) < 6 or len(rest) < 2:
            continue
        at = _unescaped(fields[4])
        if (path == at or path.startswith(at.rstrip("/") + "/")) and (best is None or len(at) >= len(best[0])):
            options = [*fields[5].split(","), *(rest[2].split(",") if len(rest) > 2 else [])]
            kept = [each for each in dict.fromkeys(options) if not _NOISE.match(each)]
            best = at, rest[0], ",".join(kept), _unescaped(rest[1])
    if best is None:
        raise ValueError(f"no mount holds {path}")
    return best


def _unescaped(text: str) -> str:
    """Spaces and the like stand there in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
