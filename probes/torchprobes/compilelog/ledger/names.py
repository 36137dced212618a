"""Names as the user wrote them: functions without Dynamo's resume names, sources of guards without `L['x']`."""

from __future__ import annotations

import re
from typing import Final

_RESUMED: Final = re.compile(r"torch_dynamo_resume_in_(.+)_at_\d+(?:_\d+)?")
"""2.2 and later; what goes on after a second break is called after the first resume function."""

_RESUMED_2_1: Final = re.compile(r"<resume in (.+)>")

_FOREIGN: Final = re.compile(
    r"/(?:site|dist)-packages/|/lib(?:64)?/python3(?:\.\d+)?/|^<frozen |^<eval_with_key>|^<string>"
)
"""Installed packages, the standard library, and what has no file."""

_LOCAL: Final = re.compile(r"\b[LG]\[(['\"])([^'\"\]]{1,200})\1\]")
_MEMBER: Final = re.compile(r"\._(?:modules|parameters|buffers)\[(['\"])([^'\"\]]{1,200})\1\]")
_CELL: Final = re.compile(r"(\w+)\.__closure__\[(\d+)\]\.cell_contents")


def function_name(name: str) -> str:
    """The user's function that a frame belongs to: `torch_dynamo_resume_in_f_at_9` and `<resume in f>` are of `f`."""
    for _ in range(16):
        found = _RESUMED.fullmatch(name) or _RESUMED_2_1.fullmatch(name)
        if found is None:
            return name
        name = found[1]
    return name


def is_foreign(file: str) -> bool:
    """Whether a file is not the user's own: of an installed package, or of the standard library."""
    return bool(_FOREIGN.search(file))


def source_name(source: str) -> str:
    """What a guard looks at, as the user would write it: `L['self']._modules['a'].weight` is `self.a.weight`."""
    named = _MEMBER.sub(r".\2", _LOCAL.sub(r"\2", source))
    return _CELL.sub(r"closure variable \2 of \1", named).strip()
