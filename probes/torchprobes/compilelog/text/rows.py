"""Which records matter, by their first line, and who reads them; and which sources can be passed over unread."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..events import Event
from . import compiling, failures, inductor
from .record import Process, Record

Maker = Callable[[Record, Process], list[Event]]

ROWS: tuple[tuple[re.Pattern[str], Maker], ...] = (
    (compiling.STARTED, compiling.started),
    (compiling.BROKE, compiling.broke),
    (compiling.RECOMPILED, compiling.recompiled),
    (compiling.GUARDS, compiling.guarded),
    (compiling.GRAPH, compiling.graph),
    (compiling.CALLED, compiling.called),
    (compiling.INDUCTOR, compiling.inductor),
    (compiling.COMPILING, compiling.compiling),
    (compiling.LOOPED, compiling.looped),
    (compiling.LIMIT, compiling.limited),
    (failures.FAILED, failures.failed),
    (failures.EXITED, failures.exited),
    (inductor.FALLBACK, inductor.fallback),
    (inductor.FOLDER, inductor.folder),
    (inductor.SKIPPED, inductor.skipped),
    (inductor.PARTITION, inductor.partition),
    (inductor.PARTITION_AT, inductor.partition_at),
    (inductor.PARTITIONED, inductor.partitioned),
    (inductor.CACHE, inductor.cache),
    (inductor.BYPASS, inductor.bypass),
    (inductor.IS_SAID, inductor.said),
)

_STARTS = re.compile(
    r"\(?['\"]?(?:Step \d|torchdynamo start|Graph |Unsupported |Recompiling |GUARDS|TRACED |COMPILING |Skip|WON'T|"
    r"torch\._dyn|failed|Using |\S+ debug trace|skipping|disabling|CUDAGraph|\s|cudagraph|fx graph|FXG|AOTA|Bypass|"
    r"Not enough|TensorF|DeviceC|Online|Torchin|[Rr]eduction|possibly|Found opt|Unable|using triton|Profiler )"
)
"""How the first lines of ROWS begin: one test where most lines fail."""


def maker_of(first: str) -> Maker | None:
    """Who reads the record that begins with the line `first`; None if it does not matter."""
    if not _STARTS.match(first):
        return None
    return next((maker for pattern, maker in ROWS if pattern.match(first)), None)


OLD: tuple[bytes, ...] = (b"old",)
"""Stands for the needles of a logger (2.1, 2.2), which speaks at all levels: they are found by logger and level."""
ALWAYS = (b"",)
"""Needles of a source whose every line is looked at."""

_ARTEFACTS: dict[str, tuple[bytes, ...]] = {
    "graph_breaks": ALWAYS,
    "recompiles": ALWAYS,
    "recompiles_verbose": ALWAYS,
    "perf_hints": ALWAYS,
    "graph_code": ALWAYS,
    "graph": ALWAYS,
    "cudagraphs": (b"cudagraph", b"CUDAGraph", b"reason=", b'  File "', b"     "),
    "guards": (b"GUARDS:",),
    "output_code": (b"torch.ops.", b" aten."),
}
_DEBUG: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("_dynamo/output_graph", (b"COMPILING GRAPH", b"calling compiler")),
    ("_dynamo/convert_frame", ALWAYS),
    ("_dynamo/symbolic_convert", (b"break in user code", b"Skipping frame", b"Step ")),
    ("_dynamo/guards", (b"GUARDS:", b"Recompiling function")),
    ("_inductor/codecache", (b" cache hit", b" cache miss", b"Bypassing")),
    ("_inductor/cudagraph", ALWAYS),
    ("_inductor/scheduler", (b"cudagraph",)),
    ("_functorch/", (b" cache hit", b" cache miss", b"Bypassing")),
)
"""Of DEBUG lines: the file, and what a line has that may matter. Other files' are passed over."""
_INFO = (b"Step ", b"udagraph", b" cache ", b"Bypassing", b" debug trace: ", b"FallbackKernel", b"break", b"failed (")
"""What an INFO line has that may matter."""


def needles(level: str, file: str, artefact: str) -> tuple[bytes, ...]:
    """What a line of this source has if it may matter: any of these. () means that none does.

    99 % of a full log are DEBUG lines that say nothing of what is explained here (logs.md 1.5).
    """
    if artefact:
        return _ARTEFACTS.get(artefact, () if level in "VI" else ALWAYS)
    if level == "I":
        return _INFO
    if level != "V":
        return ALWAYS
    named = file if "/" in file else file.replace(".", "/")  # 2.1, 2.2: a logger
    return next((words for name, words in _DEBUG if name in named), ())
