"""Whose code is it? Root never runs a file that somebody else could have written. Standard library only."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable


def why_foreign(paths: Iterable[str], trusted: str | None = None) -> str:
    """Why root should not run code from `paths`, "" if only root could have written them.

    Each path and every folder above it counts, each link as itself: whoever owns a folder can replace what is in
    it. A sticky folder (`/tmp`) protects what lies in it. Below `trusted` nothing is looked at: it runs already.
    """
    seen: set[str] = set()
    for path in paths:
        for part in _upwards(os.path.abspath(path)):
            if part in seen or (trusted and os.path.commonpath([part, trusted]) == trusted):
                continue
            seen.add(part)
            why = _why(part)
            if why:
                return f"{part} {why}"
    return ""


def _upwards(path: str) -> list[str]:
    parts = [path]
    while parts[-1] != os.path.dirname(parts[-1]):
        parts.append(os.path.dirname(parts[-1]))
    return parts


def _why(path: str) -> str:
    try:
        info = os.lstat(path)
    except OSError:  # what is not there runs nothing; what cannot be looked at cannot be run by root either
        return ""
    if info.st_uid != 0:
        return f"belongs to {_name(info.st_uid)}"
    if stat.S_ISLNK(info.st_mode):
        return ""
    if stat.S_ISDIR(info.st_mode) and info.st_mode & stat.S_ISVTX:
        return ""
    if info.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    return f"can be written by group {info.st_gid}" if info.st_mode & stat.S_IWGRP and info.st_gid != 0 else ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
