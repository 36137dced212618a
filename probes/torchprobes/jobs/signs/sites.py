"""Which frames of a stack are somebody's own: a call site is where a person can look."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ...rank_evidence import Frame

_TORCH: Final = re.compile(r"/(?:site|dist)-packages/(?:torch|triton|functorch|torchgen)/|^torch/")
_STANDARD: Final = re.compile(r"/lib(?:64)?/python[\d.t]{1,8}/(?!site-packages/|dist-packages/)|^<|^$")
_INSTALLED: Final = re.compile(r"/(?:site|dist)-packages/")
_INJECTED: Final = re.compile(r"/torchprobes/payloads/")

_MOST_NAME: Final = 80


def call_site(frames: Iterable[Frame]) -> str:
    """The innermost frame of somebody's own code, else of a library on top of torch, as `train.py:41 (load)`.

    `frames` go from the innermost outwards. "" if all of them are torch's and Python's own.
    """
    fallback = ""
    for frame in frames:
        if _TORCH.search(frame.file) or _STANDARD.search(frame.file) or _INJECTED.search(frame.file):
            continue
        if not _INSTALLED.search(frame.file):
            return words(frame)
        fallback = fallback or words(frame)
    return fallback


def words(frame: Frame) -> str:
    """`train.py:41 (load)`; the function is left out where it is the module itself."""
    name = frame.file.rpartition("/")[2][-_MOST_NAME:] or "?"
    line = "" if frame.line is None else f":{frame.line}"
    function = "" if frame.function in ("", "<module>") else f" ({frame.function[:_MOST_NAME]})"
    return f"{name}{line}{function}"
