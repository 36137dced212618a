"""Frames as dynamo takes them up: strings, starts, graphs."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ..events import CompileStarted, Event, GraphMade, TorchSeen
from .context import Entry, Frame
from .envelope import Decoder, Envelope, Whole, clean

# A statement of the graph itself, not of a graph within it (those stand deeper): `x: "f32[8][1]cpu" = ...` or, where
# something changes in place, `x += y;  iadd = x`, `x[0] = y;  setitem = x`.
_STATEMENT = re.compile(
    rb"^\t {8}[A-Za-z_]\w*(?:(?:: \"[^\"\n]*\")? = (?P<value>[^\n]*)|(?:\[[^\n]*\]| [-+*/%&|^@<>]{1,3}=)[^\n]*)$", re.M
)
# What is no op: an argument under its second name, a parameter or a graph within that is looked up.
_NO_OP = re.compile(rb"(?:[A-Za-z_]\w*|(?:self|getattr\(self, \"[^\"\n]*\"\))(?:\.\w+)*)(?:;|$| +#)")


class _Start(msgspec.Struct):
    stack: list[Frame] = []


class _Started(Envelope):
    dynamo_start: _Start = msgspec.field(default_factory=_Start)


class _Interned(Envelope):
    string: tuple[str, Whole] = msgspec.field(name="str", default=("", -1))


class _Version(msgspec.Struct):
    pytorch_version: str = ""


_STARTED, _INTERNED, _VERSION = Decoder.of(_Started), Decoder.of(_Interned), Decoder.of(_Version)


def interned(entry: Entry) -> Sequence[Event]:
    """`str`: a string gets a number, by which stacks name their files."""
    said: _Interned = _INTERNED.decode(entry.body)
    entry.context.intern(*said.string)
    return ()


def started(entry: Entry) -> Sequence[Event]:
    """`dynamo_start`: with the stack of the user's code, the frame itself last."""
    said: _Started = entry.decode(_STARTED)
    stack = entry.context.lines(said.dynamo_start.stack)
    context, compile_id = entry.context, entry.source.compile_id
    if stack:
        context.functions.put(entry.pid, str(said.frame_id), stack[-1])
    if not said.attempt:  # `torch._dynamo.reset` begins the ids anew
        context.breaks.drop(entry.pid, compile_id)
        context.failures.drop(entry.pid, compile_id)
    return (CompileStarted(entry.source, stack),)


def version(entry: Entry) -> Sequence[Event]:
    """`torch_version`, the first record since torch 2.12."""
    said: _Version = _VERSION.decode(entry.record.payload())
    entry.context.torch = clean(said.pytorch_version, 100)
    return (TorchSeen(entry.source, entry.context.torch),) if entry.context.torch else ()


def graph(entry: Entry) -> Sequence[Event]:
    """`dynamo_output_graph`: its payload is the graph's readable source (`GraphModule.print_readable`)."""
    entry.plain()
    return (GraphMade(entry.source, ops_of(entry.record.payload()) if entry.record.payload_size else None),)


def ops_of(payload: bytes) -> int:
    """call_function, call_method and call_module nodes of the readable source, as `count_calls` counts them."""
    values = (statement["value"] for statement in _STATEMENT.finditer(payload))
    return sum(value is None or not _NO_OP.match(value) for value in values)
