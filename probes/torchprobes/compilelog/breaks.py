"""What torch says of a graph break, in the words of every version: the same text in its log and in its trace.

2.1, 2.2:  `Graph break: <reason> from user code at:` and the stack
2.3 - 2.5: `Graph break: from user code at:`, the stack, and a traceback that ends in `...exc.Unsupported: <reason>`
2.6:       `Graph break in user code at <file>:<line>`, `Reason: <reason>`, `User code traceback:` and the stack
2.7:       `Graph Break Reason:` with Explanation, Hint and Developer debug context; 2.9: the id of the registry
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .events import GraphBroke, Line, Source

FRAME = re.compile(r'^\s*File "([^"\n]{1,4096})", line (\d{1,9})(?:, in (\S.*))?$')
"""A frame of a Python traceback; the line of source follows it, where Python has it."""

_AT = re.compile(r"^(?:Graph|Unsupported) break (?:\(.{1,80}\) )?in user code at (.{1,4096}):(\d{1,9})(?: \(.*\))?\s*$")
_OLD = re.compile(r"^Graph break: ?(.*?) ?from user code at:\s*$", re.DOTALL)
_REASON = re.compile(r"^(?:Graph Break )?Reason: ?(.*)$")
_UNSUPPORTED = re.compile(r"^(?:torch\._dynamo\.exc\.)?Unsupported: (.*)$")
_PART = re.compile(r"^  (Explanation|Hint|Developer debug context): ?(.*)$")
_ID = re.compile(r"/(gb\d{1,6})\.html")
_STACK = "User code traceback:"

_VARIABLE = (
    (re.compile(r"\s*\[[^\[\]]*\]"), ""),  # the arguments
    (re.compile(r"\s*\{[^{}]*\}"), ""),  # the keyword arguments
    (re.compile(r"\s*<[^<>]*>"), ""),
    (re.compile(r"(?:\s+in(?:\s+file)?)?\s+['\"`]?/\S+"), ""),  # paths
    (re.compile(r"\s+(?:True|False|None)$"), ""),
    (re.compile(r"\b0x[0-9a-f]+|\b\d+\b"), "N"),
)
"""What varies in the reasons of 2.1 to 2.6, from break to break of the same kind."""


@dataclass(frozen=True, slots=True)
class BreakText:
    """A graph break as torch tells it."""

    file: str
    line: int
    kind: str
    reason: str
    explanation: str = ""
    hints: tuple[str, ...] = ()
    context: str = ""
    break_id: str = ""
    stack: tuple[Line, ...] = ()

    def told_by(self, source: Source) -> GraphBroke:
        """The event, as the record of `source` tells it."""
        return GraphBroke(
            source,
            file=self.file,
            line=self.line,
            kind=self.kind,
            reason=self.reason,
            explanation=self.explanation,
            hints=self.hints,
            context=self.context,
            break_id=self.break_id,
            stack=self.stack,
        )


def parse_break(text: str) -> BreakText | None:
    """The graph break that `text` tells of; None if it is none, or does not (yet) say where."""
    lines = text.split("\n")
    if at := _AT.match(lines[0]):
        stack = frames(lines[lines.index(_STACK) + 1 :]) if _STACK in lines else ()
        said = _told(lines[1 : lines.index(_STACK)] if _STACK in lines else lines[1:])
        return BreakText(at[1], int(at[2]), *said, stack=stack)
    start = next((n for n, line in enumerate(lines[:40]) if line.startswith(("Graph break: ", "Graph break from"))), -1)
    ends = next((n for n, line in enumerate(lines[:60]) if line.endswith("from user code at:")), -1)
    if start < 0 or ends < start:
        return None
    return _older(lines, start, ends)


def _older(lines: list[str], start: int, ends: int) -> BreakText | None:
    """2.1 to 2.5, and the warning of `Tensor.item()` that has kept their form."""
    trace = next((n for n, line in enumerate(lines) if n > ends and line.startswith("Traceback (most")), len(lines))
    stack = frames(lines[ends + 1 : trace])
    if not stack:
        return None
    old = _OLD.match("\n".join(lines[ends if lines[ends].startswith("Graph break: ") else start : ends + 1]))
    reason = old[1] if old else ""
    if not reason:
        reason = next((m[1] for line in reversed(lines[trace:]) if (m := _UNSUPPORTED.match(line))), "")
    if not reason and "Tensor.item()" in lines[0]:
        reason = "Tensor.item"
    return BreakText(stack[-1].file, stack[-1].line, kind_of(reason), reason, stack=stack)


def _told(lines: list[str]) -> tuple[str, str, str, tuple[str, ...], str, str]:
    """(kind, reason, explanation, hints, context, id) of what follows the first line."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    break_id = ""
    for line in lines:
        if part := _PART.match(line):
            parts.append((part[1], [part[2]]))
        elif found := _ID.search(line):
            break_id = found[1]
        elif not line.startswith(" For more details"):
            parts[-1][1].append(line)
    words = [(name, "\n".join(text).strip()) for name, text in parts]
    explanation = next((text for name, text in words if name == "Explanation"), "")
    hints = tuple(text for name, text in words if name == "Hint")
    context = next((text for name, text in words if name.startswith("Developer")), "")
    first = _without_label(words[0][1])
    if not explanation:
        return kind_of(first), first, "", hints, context, break_id
    kind = first.rstrip().rpartition("\n")[2].strip()  # 2.13: a line on the opcode and an empty one come before it
    return kind, f"{kind}: {explanation}", explanation, hints, context, break_id


def _without_label(text: str) -> str:
    first, _, rest = text.partition("\n")
    if reason := _REASON.match(first):
        first = reason[1]
    if unsupported := _UNSUPPORTED.match(first):
        first = unsupported[1]
    return f"{first}\n{rest}" if rest else first


def kind_of(reason: str) -> str:
    """The kind of a break by its reason, in 2.1 to 2.6: the reason without what varies.

    >>> kind_of("call_function BuiltinVariable(print) [ConstantVariable(str)] {}")
    'call_function BuiltinVariable(print)'
    """
    kind = reason.partition("\n")[0].partition("; to enable")[0][:400].strip().strip("'\"")
    for _ in range(3):  # brackets within brackets
        for pattern, instead in _VARIABLE:
            kind = pattern.sub(instead, kind)
    return kind.strip(" '\"`,:")[:120]


def frames(lines: Iterable[str]) -> tuple[Line, ...]:
    """The frames of a traceback, outermost first, each with its line of source."""
    found: list[Line] = []
    last: tuple[str, int, str] | None = None
    for line in lines:
        frame = FRAME.match(line)
        if last:
            code = "" if frame or _is_marker(line) else line.strip()
            found.append(Line(*last, code=code))
            last = None
        if frame:
            last = (frame[1], int(frame[2]), frame[3] or "")
    return (*found, Line(*last)) if last else tuple(found)


def _is_marker(line: str) -> bool:
    return not line.strip(" ~^")
