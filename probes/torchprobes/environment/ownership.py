"""Whose code is it? Root never runs a file that somebody else could have written. Standard library only."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable


def why_foreign(paths: Iterable[str], trusted: str | None = None) -> str:
    """Why root should not run code from `paths`, "" if only root could have written them.

    Each path and every folder above it counts, as it is named and where its links lead, each link as itself:
    whoever owns a folder can replace what is in it. A sticky folder (`/tmp`) protects what lies in it. Below
    `trusted` nothing is looked at: it runs already.
    """
    seen: set[str] = set()
    for path in paths:
        for part in [*_upwards(os.path.abspath(path)), *_upwards(os.path.realpath(path))]:
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
    members = _members(info.st_gid) if info.st_mode & stat.S_IWGRP and info.st_gid != 0 else []
    return f"can be written by {members[0]} (group {info.st_gid})" if members else ""


def _members(gid: int) -> list[str]:
    """Who but root is in a group; Debian's empty `staff`, to which /usr/local belongs, gives nobody a hold.

    A group whose members cannot be known has one: itself.
    """
    try:
        names = set(grp.getgrgid(gid).gr_mem) | {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    except (KeyError, OSError):
        return ["whoever has it"]
    return sorted(names - {"root"})


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
