"""Records of Dynamo's work on a frame: its start, its graph, its end, its breaks, recompiles and limits."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

from ..breaks import BreakText, frames, kind_of, parse_break
from ..events import (
    CompileEnded,
    CompileStarted,
    Event,
    GraphMade,
    GuardFailure,
    LimitHit,
    Line,
    Recompiled,
)
from .record import Process, Record

_NAME = r"(<[^>]{1,400}>|\S+)"
"""A function's: `f`, and in 2.1 `<resume in f>`."""

STARTED = re.compile(
    r"(?:Step \d+: )?torchdynamo start (tracing|compiling) " + _NAME + r" (.{1,4096}?):(\d+)(?:, stack.*)?$"
)
CALLED = re.compile(r"Step \d+: calling compiler function (\S+)")
INDUCTOR = re.compile(r"Step \d+: torchinductor (done )?compiling (FORWARDS|BACKWARDS) graph (\d{1,9})")
GUARDS = re.compile(r"GUARDS:\s*$")
GRAPH = re.compile(r"TRACED GRAPH\s*$")
BROKE = re.compile(r"(?:Graph break|Unsupported break in user code)")
COMPILING = re.compile(
    r"COMPILING GRAPH due to GraphCompileReason\(reason=(?P<reason>.*?), "
    r"user_stack=\[(?P<stack>.*)\](?:, graph_break=(?P<broke>True|False))?\)",
    re.DOTALL,
)
LOOPED = re.compile(r"Skipping frame because there is a graph break in a for/while loop")
RECOMPILED = re.compile(r"\(?['\"]?Recompiling function " + _NAME + r" in (.{1,4096}?):(\d+)['\"]?(?:, (.*)\))?$")
LIMIT = re.compile(
    r"torch\._dynamo hit config\.((?:accumulated_)?(?:cache_size|recompile)_limit) \((\d+)\)", re.IGNORECASE
)

_ITEM = "Tensor.item"
_ITEM_NEW = "Unsupported Tensor.item() call with capture_scalar_outputs=False"
_ITEM_SINCE = 900
"""The warning of `Tensor.item()` has no reason. 2.7 and later, which have gb_types, say it in torch/_dynamo/variables/
tensor.py below this line: 869 in 2.6.0, 1759 in 2.13.0, 2052 in 2.15.0."""

_SUMMARY = re.compile(r"<FrameSummary file (.{1,4096}?), line (\d+) in ([^>]{1,400}>?)>")
_FUNCTION = re.compile(r"\s+function: '(.{1,400}?)' \((.{1,4096}):(\d+)\)")
_LAST = re.compile(r"\s+(?:last reason|reasons):\s+(.*)")
_GUARD = re.compile(r"\s*- (?:(\d+/\d+): )?(.*)$")
_STACK_LINE = re.compile(r"\s*-\s+(?:User stack trace:|  ?File \"|   )")
_COMMENT = re.compile(r"\s{2,}# (.*)$")
_COMMENT_AT = re.compile(r"  # (\S.*):(\d+) in (\S+)\s*$")
_ROW = re.compile(r"(?:call_function|call_method|call_module) ")
_BODY = re.compile(r"\s+(\w+)(?:: (?:\"[^\"]{0,400}\"|[^=\"]{1,400}))? = (.*)$")
_PLAIN = re.compile(r"[\w.]+$|getattr\(self, ")


def started(record: Record, process: Process) -> list[Event]:
    """Dynamo begins with a frame, or begins it again."""
    match = STARTED.match(record.lines[0])
    if not match:
        return []
    source = process.source(record)
    frame = Line(match[3], int(match[4]), match[2])
    tracing = match[1] == "tracing"
    one = process.compile(source.compile_id)
    if not tracing or source.attempt in one.traced:  # after torch._dynamo.reset() the ids begin again
        one = process.renewed(source.compile_id)
    if tracing:
        one.traced.add(source.attempt)
    one.function, one.file, one.line = frame.function, frame.file, frame.line
    if one.begun_s is None:
        one.begun_s = source.at_s
    events = _recompiled_as(source.compile_id, frame, process)
    if source.attempt not in one.told:
        one.told.add(source.attempt)
        stack = frames(record.lines[1:])
        whole = (*stack[:-1], replace(frame, code=stack[-1].code)) if stack else (frame,)
        events.append(CompileStarted(source, whole))
    return events


def _recompiled_as(compile_id: str, frame: Line, process: Process) -> list[Event]:
    """The recompile that was told before its compile had an id."""
    held, process.recompiled = process.recompiled, None
    if held is None:
        return []
    same = (held.function, held.line) == (frame.function, frame.line)
    return [replace(held, source=replace(held.source, compile_id=compile_id if same else ""))]


def graph(record: Record, process: Process) -> list[Event]:
    """The graph that Dynamo made, as code or as a table of its nodes."""
    if not any("__compiled_fn" in line for line in record.lines[1:3]):  # AOTAutograd's are the same graph once more
        return []
    rows = sum(1 for line in record.lines if _ROW.match(line))
    return _graph(record, process, rows or _calls(record.lines))


def _graph(record: Record, process: Process, ops: int | None) -> list[Event]:
    source = process.source(record)
    one = process.compile(source.compile_id)
    one.graphs += 1
    return [GraphMade(source, ops)] if one.graphs == 1 else []  # code, table and sizes are of one graph


def _calls(lines: list[str]) -> int:
    """Statements that call: neither the arguments' other names nor attributes of the module."""
    inside = False
    calls = 0
    for line in lines:
        if line.lstrip().startswith("def forward("):
            inside = True
        elif inside and (body := _BODY.match(line)):
            calls += not _PLAIN.match(body[2].partition(";")[0].strip())
    return calls


def called(record: Record, process: Process) -> list[Event]:
    """A backend gets the graph: there is one, even where its code is not logged."""
    one = process.compile(record.head.compile_id)
    events = [] if one.graphs else _graph(record, process, None)
    one.graphs = 0
    return events


def guarded(record: Record, process: Process) -> list[Event]:
    """Guards are the last that a compile makes: it has ended well."""
    source = process.source(record)
    one = process.compiles.get(source.compile_id)
    if one is None or not one.function:
        return []
    seconds = None
    if one.begun_s is not None and source.at_s is not None:
        seconds = max(0.0, source.at_s - one.begun_s - one.within_s)
    one.begun_s, one.within_s = source.at_s, 0.0
    return [CompileEnded(source, function=one.function, file=one.file, line=one.line, seconds=seconds)]


def inductor(record: Record, process: Process) -> list[Event]:
    """Inductor begins and ends with a graph. A backward one's seconds are told: what is around it does not tell them.

    In 2.1 and 2.2 a backward graph has no compile id, but the number of its forward graph, which has.
    """
    match = INDUCTOR.match(record.lines[0])
    if not match:
        return []
    if match[2] == "FORWARDS":
        process.number(match[3], record.head.compile_id)
        process.backward_id = ""
        return []
    source = process.source(record, process.numbers.get(match[3], ""))
    one = process.compile(source.compile_id)
    process.backward_id = source.compile_id
    if not match[1]:
        one.backward_s = source.at_s
        return []
    if one.backward_s is None or source.at_s is None:
        return []
    seconds, one.backward_s = max(0.0, source.at_s - one.backward_s), None
    if one.begun_s is not None:
        one.within_s += seconds
    return [CompileEnded(source, True, one.function, one.file, one.line, seconds=seconds)]


def broke(record: Record, process: Process) -> list[Event]:
    """A graph break, in any version's words."""
    told = parse_break(record.text)
    if told is None:
        return []
    source = process.source(record)
    if told.kind == _ITEM and record.head.file.endswith("tensor.py") and record.head.line > _ITEM_SINCE:
        told = replace(told, kind=_ITEM_NEW)
    kind = told.kind or process.kinds.get((told.file, told.line), "")
    event = replace(told, kind=kind).told_by(source)
    one = process.compile(source.compile_id)
    if "Tensor.item()" in record.lines[0]:
        held, process.item = process.item, event
        return [held] if held else []
    if process.item and (process.item.file, process.item.line) == (told.file, told.line):
        process.item = None
    if len(process.kinds) < 4096:
        process.kinds[told.file, told.line] = kind
    one.breaks.add((told.file, told.line))
    return [event]


def compiling(record: Record, process: Process) -> list[Event]:
    """The graph before a break: 2.1 to 2.5 tell of some breaks, and of each one's second time, only here."""
    match = COMPILING.match(record.text)
    if not match or match["broke"] != "True":
        return []
    stack = [Line(file, int(line), function) for file, line, function in _SUMMARY.findall(match["stack"])]
    if not stack:
        return []
    one = process.compile(record.head.compile_id)
    if (stack[-1].file, stack[-1].line) in one.breaks:
        return []
    one.breaks.add((stack[-1].file, stack[-1].line))
    reason = _literal(match["reason"])
    kind = process.kinds.get((stack[-1].file, stack[-1].line)) or kind_of(reason)
    told = BreakText(stack[-1].file, stack[-1].line, kind, reason, stack=tuple(stack))
    return [told.told_by(process.source(record))]


def looped(record: Record, process: Process) -> list[Event]:
    """A break within a loop: 2.1 to 2.5 give up the frame without telling it as a break."""
    stack = [Line(file, int(line), function) for file, line, function in _SUMMARY.findall(record.text)]
    one = process.compile(record.head.compile_id)
    if not stack or one.breaks:  # a compile ends at its first break
        return []
    kind = "graph break in a for/while loop"
    told = BreakText(stack[-1].file, stack[-1].line, kind, record.lines[0], stack=tuple(stack))
    one.breaks.add((told.file, told.line))
    return [told.told_by(process.source(record))]


def _literal(text: str) -> str:
    """The string that a repr stands for."""
    try:
        return str(ast.literal_eval(text[:20_000]))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.strip("'\"")


def recompiled(record: Record, process: Process) -> list[Event]:
    """A recompile and the guards that failed, the newest cache entry's first."""
    match = RECOMPILED.match(record.lines[0])
    if not match:
        return []
    source = process.source(record)
    failures = _old_failures(match[4]) if match[4] else _failures(record.lines[1:])
    event = Recompiled(source, match[1], match[2], int(match[3]), failures)
    if source.compile_id or not record.head.old:
        return [event]
    held, process.recompiled = process.recompiled, event
    return [held] if held else []


def _old_failures(words: str) -> tuple[GuardFailure, ...]:
    reason = _literal(words)
    _, told, guard = reason.partition("guard failure: ")
    return (_failure("", guard),) if told else ()


def _failures(lines: list[str]) -> tuple[GuardFailure, ...]:
    found: list[GuardFailure] = []
    for line in lines:
        guard = _GUARD.match(line)
        if guard and not _STACK_LINE.match(line):
            found.append(_failure(guard[1] or "", guard[2]))
    return tuple(found)


def _failure(entry: str, words: str) -> GuardFailure:
    """`X == 2   # return x + X  # file.py:5 in f`: the guard, and the line it comes from."""
    comment = _COMMENT.search(words)
    guard = words[: comment.start()].strip() if comment else words.strip()
    at = None
    if comment and (place := _COMMENT_AT.search(words)):
        code = comment[1][: comment[1].rfind("  # ")].strip() if "  # " in comment[1] else ""
        at = Line(place[1], int(place[2]), place[3], code)
    return GuardFailure(entry, guard, at)


def limited(record: Record, process: Process) -> list[Event]:
    """A function was compiled too often."""
    match = LIMIT.match(record.lines[0])
    function = next((found for line in record.lines if (found := _FUNCTION.match(line))), None)
    if not match or not function:
        return []
    last = next((found[1] for line in record.lines if (found := _LAST.match(line))), "").strip()
    where = Line(function[2], int(function[3]), function[1])
    compile_id = "" if record.head.compile_id else _next_id(where, process)
    source = process.source(record, compile_id)
    events = _recompiled_as(source.compile_id, where, process)
    return [*events, LimitHit(source, match[1], int(match[2]), where.function, where.file, where.line, last)]


def _next_id(where: Line, process: Process) -> str:
    """The id that a function's next compile would have had: 2.1 and 2.2 give none to the one that hits the limit."""
    frame, slash, number = process.id_of(where.function, where.file, where.line).rpartition("/")
    return f"{frame}/{int(number) + 1}" if slash and number.isdigit() else ""
