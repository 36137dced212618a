"""Which parts of a line of code are what, given the lines before it: Triton and C++ inside Python, docstrings.

Plain functions. `languages` goes through a whole text once, in a thread; the parts of a line are found when it is
drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from torchdoctor.text import safe

from .highlight import spans

MOST_BYTES: Final = 4 << 20
"""Of a longer text the beginning is shown as code; all of it as a log."""

MOST_LINES: Final = 100_000

Run = tuple[int, int, str]
"""What the characters [start, end) are."""


@dataclass(frozen=True, slots=True, eq=False)
class CodeText:
    """A text in memory: its lines, made safe to show, and the language of each."""

    lines: Sequence[str] = ()
    languages: Sequence[str] = ()
    cause: str = ""
    """Why there is nothing, in words."""
    note: str = ""
    """What the reader should know: only the beginning is shown, another file of that name is."""
    path: str = ""
    """What was read, which is not what was asked for where `note` says so."""


EMPTY: Final = CodeText()

_QUOTES: Final = re.compile(r"#.*|'''|\"\"\"|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_WITHIN: Final = (
    (re.compile(r"async_compile\.triton\w{0,40}\("), "python"),
    (re.compile(r"async_compile\.(?:cpp|cuda|rocm|metal|halide)\w{0,40}\(|cpp_wrapper_src\s*="), "cpp"),
)
"""What stands before a text in triple quotes -> the language that it is in."""


def languages(lines: Iterable[str], language: str) -> list[str]:
    """The language of every line; only Python holds others, in triple quotes."""
    if language != "python":
        return [language] * sum(1 for _ in lines)
    found: list[str] = []
    quote, within = "", "python"
    for line in lines:
        start = 0
        here = within if quote else "python"
        if quote:
            end = line.find(quote)
            start, closed = (end + 3, True) if end >= 0 else (len(line), False)
            if closed:
                quote = ""
                here = "python" if not line[:end].strip() else within
        found.append(here)
        if not quote:
            quote, within = _opened(line, start)
    return found


def _opened(line: str, start: int) -> tuple[str, str]:
    """(the quotes that a line leaves open, the language of what is in them); ("", "python") for none."""
    at = start
    while match := _QUOTES.search(line, at):
        if match[0] not in ("'''", '"""'):
            at = match.end()
            continue
        end = line.find(match[0], match.end())
        if end < 0:
            before = line[: match.start()]
            return match[0], next((name for rule, name in _WITHIN if rule.search(before)), "string")
        at = end + 3
    return "", "python"


_CPP: Final = re.compile(
    r"(?P<comment>//.*|/\*.*?(?:\*/|$))"
    r"|(?P<name>^\s*\#\s*\w+.*)"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)+')"
    r"|(?P<keyword>\b(?:alignas|auto|bool|break|case|char|class|const|constexpr|continue|double|else|extern|float"
    r"|for|half|if|inline|int|int8_t|int16_t|int32_t|int64_t|long|namespace|return|short|size_t|static|static_cast"
    r"|struct|switch|template|typedef|typename|uint8_t|uint16_t|uint32_t|uint64_t|unsigned|using|void|volatile|while"
    r"|__global__|__device__|__shared__)\b)"
    r"|(?P<number>\b\d[\w.]*)"
)


def runs(language: str, text: str) -> list[Run]:
    """The parts of a line that are to be told apart."""
    if language == "string":
        return [(0, len(text), "string")]
    if language == "cpp":
        return [(match.start(), match.end(), match.lastgroup or "") for match in _CPP.finditer(text)]
    return list(spans(language, text))


def code_text(data: bytes, language: str, *, payload: bool, ascii_only: bool, more: bool = False) -> CodeText:
    """A text of bytes; each line of a `payload` of the trace begins with a tab that is none of its own."""
    raw = data.split(b"\n")
    if raw and not raw[-1]:
        raw.pop()
    note = "only the beginning is shown" if more or len(raw) > MOST_LINES else ""
    lines = [_line(one, payload=payload, ascii_only=ascii_only) for one in raw[:MOST_LINES]]
    return CodeText(lines, languages(lines, language), note=note)


def _line(raw: bytes, *, payload: bool, ascii_only: bool) -> str:
    text = raw[1:] if payload and raw.startswith(b"\t") else raw
    return safe(text.rstrip(b"\r").decode("utf-8", "replace"), ascii_only=ascii_only)
