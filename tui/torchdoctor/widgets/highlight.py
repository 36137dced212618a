"""Which parts of a line are what: small tables of expressions, run on visible lines only.

A lexer of a real highlighter costs more than the whole rest of a frame and needs the file from its start; these
rules see one line (at most 4 KiB) and are linear in it.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator

_PYTHON = re.compile(
    r"(?P<comment>\#.*)"
    r"|(?P<string>[rbfRBF]{0,2}(?:'''|\"\"\"|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'))"
    r"|(?P<name>@[\w.]+)"
    rf"|(?P<keyword>\b(?:{'|'.join(keyword.kwlist)})\b)"
    r"|(?P<number>\b\d[\w.]*)"
)

_IR = re.compile(
    r"(?P<comment>\#.*)"
    r"|(?P<name>^(?:op|buf)\d+(?:_op\d+)*\b)"
    r"|(?P<keyword>\b(?:SchedulerNode|FusedSchedulerNode|ExternKernelSchedulerNode|NopKernelSchedulerNode"
    r"|ForeachKernelSchedulerNode|ComputedBuffer|Reduction|Pointwise|MemoryDep|class|def|return)\b)"
    r"|(?P<string>'[^']*')"
    r"|(?P<number>\b\d[\w.]*)"
)

_JSON = re.compile(
    r"(?P<name>\"(?:[^\"\\]|\\.)*\"(?=\s*:))"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<keyword>\b(?:true|false|null)\b)"
    r"|(?P<number>-?\b\d[\w.+-]*)"
)

PREFIX = re.compile(
    r"(?P<rank>(?:\[(?:rank|default)\d+\]:)*)(?P<level>[VIWEC])[01]\d{3} (?P<time>\d\d:\d\d:\d\d)[.\d]* "
    r"\d+ [^\]]{1,400}\]"
)
"""torch's prefix: rank, level and date, time of day, process, file and line."""

_LOG = re.compile(
    rf"(?P<dim>{re.sub(r'[(][?]P<[a-z]+>', '(?:', PREFIX.pattern)}"
    r"|^(?:\[(?:rank|default)\d+\]:)*[VIWEC] \d\d:\d\d:[\d.]+(?= ))"
    r"|(?P<name>(?<= )\[\d+/\d+(?:_\d+)?\](?= |$))"
    r"|(?P<keyword>(?<= )\[__\w+\])"
)

RULES = {"python": _PYTHON, "ir": _IR, "json": _JSON, "log": _LOG}

LEVEL = re.compile(r"(?:\[(?:rank|default)\d+\]:)*([VIWEC])(?:[01]\d{3})? \d\d:\d\d:")
"""The level letter that a line of torch's logging starts with, whole or shortened."""


def shortened(text: str) -> str:
    """A line of torch's logging with `V 06:15:17` for its prefix of some 75 cells."""
    match = PREFIX.match(text)
    return f"{match['rank']}{match['level']} {match['time']}{text[match.end() :]}" if match else text


def spans(language: str, text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, what) of the parts of `text` that are to be told apart; nothing for plain text."""
    rule = RULES.get(language)
    if rule is not None:
        for match in rule.finditer(text):
            yield match.start(), match.end(), match.lastgroup or ""
