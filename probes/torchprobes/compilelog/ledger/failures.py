"""Compiles that raised: which the program survived, and which ended it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..events import CompileFailed, Uncaught
from ..explanation import Failure
from .compiles import Record
from .group import Group
from .names import function_name, is_foreign

SOFT: Final = frozenset({"Unsupported", "UserError", "SkipFrame", "SkipCodeRecursiveException"})
"""Dynamo leaves such a frame to eager without an error (torch/_dynamo/convert_frame.py, `soft_fail`): it is a graph
break that the frame cannot go on after. Only fullgraph=True makes an error of it, and then nothing catches it."""

_TORCHS: Final = re.compile(
    r"torch\.(?:_dynamo|_inductor|_functorch|fx\.experimental)\.|triton\.compiler\.|triton\.runtime\."
)
_WORDS: Final = re.compile(
    r"accessing tensor output of CUDAGraphs that has been overwritten|backend='[^']{1,200}' raised:|"
    r"Set TORCHDYNAMO_VERBOSE=1 for the internal stack trace"
)
_COMPILER: Final = re.compile(
    r"/torch/(?:_dynamo|_inductor|_functorch|fx)/|/triton/(?:compiler|backends)/|/torchinductor_"
)
_ENTRY: Final = re.compile(
    r"/torch/_dynamo/(?:convert_frame|eval_frame)\.py|/torch/_(?:inductor|functorch)/|/torchinductor_"
)
"""A stack without any of these is of a call of torch's functions, such as a setting that does not exist."""

_ABOVE_USER: Final = re.compile(r"/torch/_dynamo/(?:eval_frame|external_utils|decorators|testing)\.py$")
"""Frames of Dynamo's that stand above the user's own code while it runs; what they raise themselves is a compile's."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the failures of one process."""

    suppressed: tuple[Failure, ...] = ()
    fatal: Failure | None = None
    known: bool = False
    """Whether the files tell that nothing of torch.compile's ended it, or what did."""
    guessed: bool = False
    """Whether `fatal` is only what nothing came after."""


def settle(group: Group, ended: bool, heard: bool, exit_code: int | None) -> Settled:
    """Which failures the program survived, and which one was its end.

    A failure is suppressed where torch says so (WON'T CONVERT, or its settings in the trace), where the process began
    another compile after it, or where it ended well. It is fatal where a traceback of torch.compile's is the last that
    the process says, and, in want of any text, where nothing came after it.

    Args:
        group: the process.
        ended: the files do not grow.
        heard: stderr was read to its end.
        exit_code: of the program, None where nothing says it.
    """
    final, key = group.uncaught, group.key
    went_on = (heard and final is None) or exit_code == 0
    survived: list[Failure] = []
    last: Failure | None = None
    for record in group.book.failing:
        if spoken := _spoken(group, record):
            survived.append(_of_record(record, key, spoken))
        elif went_on or record.suppresses or record.begun_then < len(group.book.records):
            survived += [] if _class(record) in SOFT else [_of_record(record, key)]
        else:
            last = _of_record(record, key)
    survived += [_of_text(event, key) for event in _unrecorded(group) if event.suppressed]
    if final is not None and (is_torchs(final) or (last is not None and _is_hard(last) and _same(final, last))):
        unfinished = group.book.unfinished
        if last is None and unfinished is not None:
            last = _of_record(unfinished, key)
        return Settled(tuple(survived), _of_traceback(final, last, key), True)
    if last is not None and _is_hard(last) and final is None:
        return Settled(tuple(survived), last if ended else None, False, True)
    survived += [last] if last is not None and _is_hard(last) else []
    return Settled(tuple(survived), None, went_on or final is not None, False)


def _is_hard(failure: Failure) -> bool:
    return failure.type.rpartition(".")[2] not in SOFT


def _same(final: Uncaught, failure: Failure) -> bool:
    """Whether a traceback is of this failure: some are not wrapped (IndexError, AssertionError)."""
    return final.type.rpartition(".")[2] == failure.type.rpartition(".")[2]


def is_torchs(event: Uncaught) -> bool:
    """Whether an exception is torch.compile's own, and not the program's: by its type, its words, its last frame."""
    if _TORCHS.match(event.type) or _WORDS.search(event.reason[:20_000]):
        return True
    if not event.stack or "OutOfMemory" in event.type:
        return False
    last = event.stack[-1]
    if _ABOVE_USER.search(last.file):
        return last.code.startswith("raise ")
    return bool(_COMPILER.search(last.file)) and any(_ENTRY.search(frame.file) for frame in event.stack)


def _class(record: Record) -> str:
    said = record.failed.type if record.failed else record.fail_type
    return said.rpartition(".")[2]


def _spoken(group: Group, record: Record) -> CompileFailed | None:
    """The text's word that it was suppressed; of a soft failure torch says the same, at INFO."""
    if _class(record) in SOFT:
        return None
    return next((e for _, e in group.kept("failures") if e.suppressed and _matches(e, record)), None)


def _matches(event: CompileFailed, record: Record) -> bool:
    if event.source.compile_id:
        return event.source.compile_id == record.compile_id
    return (event.function, event.line) == (record.function, record.line)


def _unrecorded(group: Group) -> list[CompileFailed]:
    """Failures that only the text tells."""
    told: list[CompileFailed] = [event for _, event in group.kept("failures")]
    hard = [event for event in told if event.type.rpartition(".")[2] not in SOFT]
    return [event for event in hard if not any(_matches(event, record) for record in group.book.failing)]


def _of_record(record: Record, key: str, spoken: CompileFailed | None = None) -> Failure:
    failed = record.failed
    told = [event for event in (failed, spoken) if event is not None]
    user = record.fail_at or next((event.user for event in told if event.user), None)
    return Failure(
        function=function_name(record.function or next((e.function for e in told if e.function), "")),
        file=record.file or next((event.file for event in told if event.file), ""),
        line=record.line or next((event.line for event in told if event.line), 0),
        compile_id=record.compile_id,
        type=next((event.type for event in told if event.type), record.fail_type),
        reason=next((event.reason for event in told if event.reason), record.fail_reason),
        user=user,
        process=key,
        place=failed.source.place if failed else record.place,
    )


def _of_text(event: CompileFailed, key: str) -> Failure:
    return Failure(
        function_name(event.function),
        event.file,
        event.line,
        event.source.compile_id,
        event.type,
        event.reason,
        event.user,
        key,
        event.source.place,
    )


def _of_traceback(event: Uncaught, last: Failure | None, key: str) -> Failure:
    """The program's end: the compile that failed where one did, in the traceback's words."""
    own = next((line for line in reversed(event.stack) if not is_foreign(line.file)), None)
    if last is not None:
        return Failure(
            last.function,
            last.file,
            last.line,
            last.compile_id,
            event.type or last.type,
            event.reason or last.reason,
            last.user or own,
            key,
            event.source.place,
        )
    function = "" if own is None or own.function == "<module>" else own.function
    file, line = (own.file, own.line) if own else ("", 0)
    return Failure(
        function, file, line, event.source.compile_id, event.type, event.reason, own, key, event.source.place
    )
