"""`inductor_output_code`: the kernels that Inductor wrote, and the ops that it left to others; what each kernel does.

Its comments (`get_kernel_metadata` in torch/_inductor/utils.py): before a kernel, `# Topologically Sorted Source Nodes:
[..], Original ATen: [..]` and, for Triton, `# Source node to ATen node mapping:`. The nodes of C++ kernels, and the
user's lines of both, follow as artefacts: node mappings since torch 2.7, stacks since 2.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ..breaks import frames
from ..events import Event, Fallback, Fused, Line
from ..harmless import is_harmless
from .context import Entry
from .envelope import Decoder, clean

MAX_KERNELS = 4096
MAX_OPS = 512
MAX_LINES = 64
MAX_NAME = 1 << 12
MAX_TEXT = 1 << 16

_GRAPH = re.compile(rb"\A\t# AOT ID: \['(\w{1,80})'\]")
_KERNEL = re.compile(rb"^\t([A-Za-z_]\w{0,400}) = async_compile\.(?!wait)\w+\(", re.M)
_MAPPED = re.compile(rb"^\t#   [^\n]*? => ([^\n]*)$", re.M)
_ATEN = re.compile(rb"Original ATen: \[([^\]\n]*)\]")
# A statement of the wrapper's, not of a comment: `buf0 = torch.ops.aten.nonzero.default(arg0_1)`; without overload and
# `torch.ops` in torch 2.1 to 2.3.
_OPS = (
    re.compile(rb"torch\.ops\.(\w+\.\w+(?:\.\w+)?)\("),
    re.compile(rb"aten\.\w+(?:\.\w+)?(?=\()"),
)
_STATEMENT = re.compile(rb"\t +(?:\w+ = )?\Z")
_MAX_STATEMENT = 400
_FOREIGN = ("extern_kernels.", "torch.ops.", "aten.")
"""What provenance names beside the kernels that Inductor wrote."""


def output_code(entry: Entry) -> Sequence[Event]:
    """Each kernel once, each op that falls back once."""
    entry.plain()
    code = entry.record.payload()
    graph = _GRAPH.match(code)
    if graph:
        entry.context.graphs.put(entry.pid, entry.source.compile_id, f"model__{graph[1].decode()}")
    kernels = _kernels(code)
    entry.context.kernels.put(entry.pid, entry.source.compile_id, kernels)
    return (
        *(Fused(entry.source, kernel, nodes) for kernel, nodes in kernels.items()),
        *(Fallback(entry.source, op, is_harmless(op)) for op in _fallbacks(code)),
    )


def _kernels(code: bytes) -> dict[str, tuple[str, ...]]:
    """The nodes of each kernel, of C++ ones none: their code does not name them."""
    kernels: dict[str, tuple[str, ...]] = {}
    for kernel in _KERNEL.finditer(code):
        kernels.setdefault(kernel[1].decode("ascii"), _nodes(_comment(code, kernel.start())))
        if len(kernels) >= MAX_KERNELS:
            break
    return kernels


def _comment(code: bytes, stop: int) -> bytes:
    """The comment that ends at `stop`."""
    start = stop
    for _ in range(MAX_OPS):
        line = code.rfind(b"\n", 0, start - 1) + 1
        if not code.startswith(b"\t#", line) or line >= start:
            break
        start = line
    return code[start:stop]


def _fallbacks(code: bytes) -> Iterable[str]:
    """The ops that the wrapper calls, each once."""
    ops: dict[str, None] = {}
    for pattern in _OPS:
        for found in pattern.finditer(code):
            line = code.rfind(b"\n", max(0, found.start() - _MAX_STATEMENT), found.start()) + 1
            if len(ops) < MAX_OPS and _STATEMENT.match(code, line, found.start()):
                ops[found[found.re.groups].decode("ascii")] = None
    return ops


def _nodes(comment: bytes) -> tuple[str, ...]:
    rows = _MAPPED.findall(comment) or _ATEN.findall(comment)
    names = ", ".join(row.decode("utf-8", "replace") for row in rows).split(", ")
    return tuple(dict.fromkeys(name for name in names if name))[:MAX_OPS]


_MAPPINGS = Decoder.of(dict[str, object])
_STACKS = Decoder.of(dict[str, list[str]])


def mappings(entry: Entry) -> Sequence[Event]:
    """The nodes of each kernel, by name: of C++ kernels too (`inductor_provenance_tracking_node_mappings` and kin)."""
    said = _MAPPINGS.decode(entry.record.payload())
    rows = said.get("cppCodeToPost", said)
    return _told(entry, {}, rows if isinstance(rows, dict) else {})


def stacks(entry: Entry) -> Sequence[Event]:
    """The user's lines of each kernel (`inductor_provenance_tracking_kernel_stack_traces`)."""
    return _told(entry, _STACKS.decode(entry.record.payload()), {})


def _told(entry: Entry, stacks: Mapping[str, Sequence[str]], nodes: Mapping[str, object]) -> Sequence[Event]:
    """The kernels again, with what is known of them by now; a kernel that is called twice has two rows: `name:2`."""
    entry.plain()
    known = entry.context.kernels.get(entry.pid, entry.source.compile_id) or {}
    ops: dict[str, list[str]] = {}
    lines: dict[str, list[Line]] = {}
    for key, value in nodes.items():
        if not key.startswith(_FOREIGN) and isinstance(value, list):
            ops.setdefault(_name(key), []).extend(clean(str(node), MAX_NAME) for node in value[:MAX_OPS])
    for key, texts in stacks.items():
        if not key.startswith(_FOREIGN):
            lines.setdefault(_name(key), []).extend(_innermost(texts))
    for kernel, found in [*ops.items()][:MAX_KERNELS]:
        known[kernel] = tuple(dict.fromkeys(found))[:MAX_OPS]
    entry.context.kernels.put(entry.pid, entry.source.compile_id, known)
    return [
        Fused(entry.source, kernel, known.get(kernel, ()), tuple(dict.fromkeys(lines.get(kernel, ())))[:MAX_LINES])
        for kernel in dict.fromkeys([*ops, *lines][:MAX_KERNELS])
    ]


def _name(key: str) -> str:
    return clean(key.rpartition(":")[0] or key, MAX_NAME)


def _innermost(texts: Iterable[str]) -> Iterable[Line]:
    for text in [*texts][:MAX_LINES]:
        yield from frames(clean(text, MAX_TEXT).split("\n"))[-1:]
