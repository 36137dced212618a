"""What a line of a log points at: a compile of a rank, and a line of somebody's source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torchdoctor.widgets.highlight import PREFIX

_RANK = re.compile(r'^(?:\[(?:rank|default)\d{1,7}\]:)*?\[(?:rank|default)(\d{1,7})\]:(?!\[(?:rank|default)\d)'
                   r'|"rank": (\d{1,7})[,}]')  # fmt: skip
"""The last one counts: torchrun's `[default0]:` before it is the local rank."""
_COMPILE = re.compile(r"\[(!?-?\d{1,7}(?:/(?:-|\d{1,7})){1,4})(?:_\d{1,7})?\](?= |$)")
"""`[3/1]`, `[!0/0/1]` within compiled autograd, `[3/1_2]` a later attempt of the same compile."""
_TRACED = re.compile(r'"frame_id": (\d{1,7}), "frame_compile_id": (\d{1,7})')

_TOLD = re.compile(r"(?:user code at|Recompiling function \S{1,500} in) (?P<file>[^\n]{1,4000}):(?P<line>\d{1,9})\b")
"""Torch's own words before a place in the user's code; the name of the file may hold blanks."""
_RAISED = re.compile(r'File "(?P<file>[^"\n]{1,4000})", line (?P<line>\d{1,9})')
_COLON = re.compile(r"\.pyi?:(?P<line>\d{1,9})\b")
_PATH = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./~+@%=,-")

_LIBRARY = re.compile(r"(?:^|/)(?:site-packages|dist-packages|lib(?:64)?/python\d(?:\.\d+)?)/|^torch/|^<")
"""Files that are nobody's own program: installed packages, the standard library, `<frozen …>`."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Where a line leads; what it does not say is empty."""

    compile_id: str = ""
    """`3/1`, without the attempt."""
    rank: int | None = None
    file: str = ""
    """As the line writes it, so not to be trusted; "" if it names no file."""
    line: int = 0
    """Counted from 1; 0 with no file."""

    @property
    def empty(self) -> bool:
        """Whether the line leads nowhere."""
        return not self.compile_id and not self.file


def jump_of(text: str) -> Jump:
    """What `text`, one line of a log as it stands in the file, points at.

    Of several places in sources the first in the user's own code counts, and only if there is none the first in a
    library. The position that torch's logging writes into its prefix is where torch logged, and never counts.
    """
    prefix = PREFIX.match(text)
    told = text[prefix.end() :] if prefix else text
    places = list(_places(told))
    file, line = next((place for place in places if not _LIBRARY.search(place[0])), places[0] if places else ("", 0))
    rank = _RANK.search(text)
    return Jump(_compile_id(text), int(rank[1] or rank[2]) if rank else None, file, line)


def _compile_id(text: str) -> str:
    found = _COMPILE.search(text)
    if found:
        return found[1]
    traced = _TRACED.search(text)
    return f"{traced[1]}/{traced[2]}" if traced else ""


def _places(text: str) -> Iterator[tuple[str, int]]:
    """(file, line) of every place that is named, torch's own words first."""
    for rule in (_TOLD, _RAISED):
        for match in rule.finditer(text):
            yield match["file"], int(match["line"])
    for match in _COLON.finditer(text):
        start = match.start()
        while start and (text[start - 1] in _PATH or text[start - 1].isalnum()):
            start -= 1
        if start < match.start():
            yield text[start : match.start("line") - 1], int(match["line"])
