"""What the sources of a process can tell of: where they cannot, nothing is known, which is not the same as none."""

from __future__ import annotations

from collections.abc import Callable

from .group import Group
from .process import TRACE


def tells(subject: str) -> Callable[[Group], bool]:
    """A trace tells of all of them; text of those that it names."""
    return lambda group: group.traced or any(True for _ in group.kept(subject))


def tells_breaks(group: Group) -> bool:
    """A trace of 2.6 and later, or text at a level that tells of starts and guards.

    Before that traces hold no breaks: those of 2.3 and 2.4 have no pid, and one of 2.5 tells that compiles restarted.
    """
    book = group.book
    if group.tier == TRACE:
        new = any(member.torch for member in group.members)  # traces tell their version since 2.9
        return bool(group.breaks) or (_has_pid(group) and (new or not book.restarted))
    return group.traced or bool(group.breaks) or (book.begun and book.frames > 0)


def _has_pid(group: Group) -> bool:
    return any(member.traced and member.pid is not None for member in group.members)


def tells_caches(group: Group) -> bool:
    """A trace, but of 2.3 and 2.4; text of those lookups that it names."""
    return (group.traced and _has_pid(group)) or any(True for _ in group.kept("caches"))


def tells_compiles(group: Group) -> bool:
    """Compiles by their ids: a trace, or text at a level that tells of starts."""
    return group.tier == TRACE or group.book.begun


def tells_recompiles(group: Group) -> bool:
    """All that tells of compiles, and TORCH_LOGS=recompiles alone."""
    told = any(again for member in group.members for again in member.recompiled)
    return told or tells_compiles(group) or bool(group.unnamed)


def tells_skips(group: Group, heard: bool) -> bool:
    """They are warnings since 2.3; 2.1 and 2.2 tell them with TORCH_LOGS=perf_hints alone."""
    old = any(member.torch.startswith(("2.1", "2.2")) for member in group.members) and not group.traced
    return any(True for _ in group.kept("skips")) or (heard and not old)
