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

RULES = {"python": _PYTHON, "ir": _IR, "json": _JSON}

_RANKS = r"(?:\[(?:rank|default)\d{1,7}\]:)*"

PREFIX = re.compile(
    rf"(?P<rank>{_RANKS})(?P<level>[VIWEC])[01]\d{{3}} (?P<time>\d\d:\d\d:\d\d)[.\d]{{0,10}} "
    r"\d{1,20} [^\]]{1,400}\]"
)
"""torch's prefix since 2.3: rank, level and date, time of day, process, file and line."""

_OLD = re.compile(
    rf"(?P<rank>{_RANKS})\[\d{{4}}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d),\d{{3}}\](?P<id>(?: \[[^\] ]{{1,40}}\])?) "
    r"[\w.]{0,200}?(?:\.(?P<artefact>__\w{1,80}))?: \[(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\]"
)
"""The prefix of torch 2.1 and 2.2: time, compile id, logger, level."""

_LETTERS = {"DEBUG": "V", "INFO": "I", "WARNING": "W", "ERROR": "E", "CRITICAL": "C"}

_HEAD = re.compile(
    rf"(?P<rank>r\d{{1,7}} |{_RANKS})(?:(?P<dim>(?P<level>[VIWEC])(?:[01]\d{{3}})? \d\d:\d\d:\d\d[.\d]{{0,10}}"
    r"(?: \d{1,20} [^\]]{1,400}\])?|\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\])"
    r"(?: (?P<id>\[!?-?\d{1,7}(?:/(?:-|\d{1,7})){1,4}(?:_\d{1,7})?\])(?= |$))?"
    r"(?: (?P<artefact>\[__\w{1,80}\]))?"
    r"(?: (?P<logger>[\w.]{1,200}: \[(?P<old>DEBUG|INFO|WARNING|ERROR|CRITICAL)\]))?)?"
)
"""The beginning of a line of torch's logging, as it stands or shortened."""

_TONES = {"W": "warning", "E": "error", "C": "error", "WARNING": "warning", "ERROR": "error", "CRITICAL": "error"}

WHOS = 8
"""How many looks there are to tell ranks, compiles and files apart by; `who0` to `who7`."""

_NUMBER = re.compile(r"\d+")


def shortened(text: str) -> str:
    """A line of torch's logging with `r0 V 06:15:17` for its prefix of some 75 cells."""
    match = PREFIX.match(text)
    if match:
        return f"{_rank(match['rank'])}{match['level']} {match['time']}{text[match.end() :]}"
    match = _OLD.match(text)
    if match:
        artefact = f" [{match['artefact']}]" if match["artefact"] else ""
        head = f"{_rank(match['rank'])}{_LETTERS[match['level']]} {match['time']}{match['id']}{artefact}"
        return head + text[match.end() :]
    return text


def _rank(prefix: str) -> str:
    """`r0 ` for `[rank0]:`; where torchrun's own prefix stands before torch's, torch's."""
    return f"r{_NUMBER.findall(prefix)[-1]} " if prefix else ""


def who_rank(rank: int) -> str:
    """The look of a rank: always the same, and another one than its neighbours have."""
    return f"who{rank % WHOS}"


def who_compile(compile_id: str) -> str:
    """The look of a compile id, `3/1`: compiles of one frame differ, and so do frames that follow each other."""
    frame, nth, *_ = (*map(int, _NUMBER.findall(compile_id)), 0, 0)
    return f"who{(3 * frame + nth) % WHOS}"


def spans(language: str, text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, what) of the parts of `text` that are to be told apart; nothing for plain text."""
    rule = RULES.get(language)
    if rule is not None:
        for match in rule.finditer(text):
            yield match.start(), match.end(), match.lastgroup or ""
    elif language == "log":
        yield from _head_spans(text)


def _head_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """The parts of torch's prefix; of several that cover a character, the last counts."""
    match = _HEAD.match(text)
    if match is None or not match.end():
        return
    for part in ("dim", "artefact", "logger"):
        if match[part]:
            yield *match.span(part), "dim"
    if match["rank"]:
        yield *match.span("rank"), who_rank(int(_NUMBER.findall(match["rank"])[-1]))
    if match["id"]:
        yield *match.span("id"), who_compile(match["id"])
    for part in ("level", "old"):
        if match[part] in _TONES:
            yield *match.span(part), _TONES[match[part]]
