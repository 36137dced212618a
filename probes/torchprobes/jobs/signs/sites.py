"""A call site in words: where in somebody's own code a person can look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...rank_evidence import Frame
from ..stacks.groups import call_site

_MOST_NAME: Final = 80


def site(frames: Sequence[Frame]) -> str:
    """The call site of a stack (innermost frame first) as `train.py:41 (load)`, "" if it is wholly torch's."""
    frame = call_site(frames)
    return "" if frame is None else words(frame)


def words(frame: Frame) -> str:
    """`train.py:41 (load)`; the function is left out where it is the module itself."""
    name = frame.file.rpartition("/")[2][-_MOST_NAME:] or "?"
    line = "" if frame.line is None else f":{frame.line}"
    function = "" if frame.function in ("", "<module>") else f" ({frame.function[:_MOST_NAME]})"
    return f"{name}{line}{function}"
