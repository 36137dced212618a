"""Ranks whose main threads stand in equal frames, and where in the user's code a stack stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ...distributed import StackGroup
from ...rank_evidence import Frame, Stack, ThreadStack

_PACKAGE: Final = re.compile(r"/(?:site|dist)-packages/([^/]+)/")
_STANDARD: Final = re.compile(r"/lib(?:64)?/python3\.\d{1,2}t?/(?!(?:site|dist)-packages/)|^<(?:frozen|string)")
_TORCH: Final = frozenset({"torch", "torchgen", "triton", "functorch"})
_MOST_LINES: Final = 64

Key = tuple[tuple[str, str, "int | None"], ...]


def main_thread(stack: Stack) -> ThreadStack | None:
    """The main thread's frames; of a source that names none, the thread that has frames and came first into being."""
    named = next((thread for thread in stack.threads if thread.main), None)
    return named or next((thread for thread in reversed(stack.threads) if thread.frames), None)


def call_site(frames: Sequence[Frame]) -> Frame | None:
    """The innermost frame of the user's own code: outside installed packages and the standard library.

    Where there is none, the innermost of a package that is not torch; a program that is wholly torch has no site.
    """
    own = next((frame for frame in frames if _is_own(frame)), None)
    return own or next((frame for frame in frames if _is_foreign(frame)), None)


def site_words(frame: Frame | None) -> str:
    """A call site as a person writes it: `train.py:42 in main`."""
    if frame is None:
        return ""
    where = frame.file.rpartition("/")[2] + (f":{frame.line}" if frame.line is not None else "")
    return f"{where} in {frame.function}"


def grouped(stacks: Mapping[int, Stack]) -> tuple[StackGroup, ...]:
    """The ranks by equal main threads (file name, function and line of every frame), the smallest group first."""
    found: dict[Key, list[int]] = {}
    for rank, stack in sorted(stacks.items()):
        found.setdefault(_key(stack), []).append(rank)
    groups = [_group(tuple(ranks), stacks[ranks[0]]) for ranks in found.values()]
    return tuple(sorted(groups, key=lambda group: (len(group.ranks), group.ranks)))


def _key(stack: Stack) -> Key:
    thread = main_thread(stack)
    frames = thread.frames if thread else ()
    return tuple((frame.file.rpartition("/")[2], _plain(frame.function), frame.line) for frame in frames)


def _group(ranks: tuple[int, ...], stack: Stack) -> StackGroup:
    thread = main_thread(stack)
    frames = thread.frames if thread else ()
    what = site_words(call_site(frames)) or (site_words(frames[0]) if frames else "no Python frame")
    return StackGroup(ranks=ranks, what=what, text=tuple(_line(frame) for frame in frames[:_MOST_LINES]))


def _line(frame: Frame) -> str:
    return f"{_plain(frame.function)} ({frame.file}:{'?' if frame.line is None else frame.line})"


def _plain(function: str) -> str:
    """A function's own name: sources differ in whether they give the qualified one."""
    return function.rpartition(".")[2]


def _is_own(frame: Frame) -> bool:
    return bool(frame.file) and not _PACKAGE.search(frame.file) and not _STANDARD.search(frame.file)


def _is_foreign(frame: Frame) -> bool:
    package = _PACKAGE.search(frame.file)
    return package is not None and package[1] not in _TORCH
