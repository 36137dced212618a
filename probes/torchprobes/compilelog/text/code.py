"""Lines of Inductor's output code: calls of ops that it has no kernel for."""

from __future__ import annotations

import re

from ..events import Event, Fallback
from ..harmless import is_harmless
from .record import Process, Record

_CALL = re.compile(rb"\s+(?:\w+ = )?torch\.ops\.(\w+)\.(\w+)\.(\w+)\(|\s+(?:\w+ = )?(aten)\.(\w+)(?:\.(\w+))?\(")
_NOT_OPS = {b"inductor", b"_c10d_functional", b"_c10d_functional_autograd", b"streams", b"higher_order"}
"""Namespaces of Inductor's own means: no kernel was to be written for these."""


def read(line: bytes, record: Record, process: Process) -> list[Event]:
    """The fallback that a line of the code calls; one an op and compile, as the hint on it may have told it already."""
    match = _CALL.match(line)
    if not match:
        return []
    namespace, name, overload = (match[1], match[2], match[3]) if match[1] else (match[4], match[5], match[6])
    if namespace in _NOT_OPS:
        return []
    op = b".".join((namespace, name, overload or b"default")).decode()
    ops = process.compile(record.head.compile_id).ops
    if op in ops:
        return []
    ops.add(op)
    return [Fallback(process.source(record), op, is_harmless(op))]
