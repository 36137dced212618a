"""The structured traces of the corpus, debug_only of each case (of torch 2.6 the full run), as they were written."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

from torchprobes.compilelog.events import Event
from torchprobes.compilelog.trace import TraceReader

TRACES = Path(__file__).parent / "traces"
NAMES = tuple(sorted(path.name.removesuffix(".log.xz") for path in TRACES.glob("*.log.xz")))


@cache
def trace(name: str) -> bytes:
    """The bytes of one trace: `03_graph_breaks`, `08_ddp_gloo_rank1`."""
    return lzma.decompress((TRACES / f"{name}.log.xz").read_bytes())


def read(data: bytes, piece: int = 1 << 20, path: str = "trace.log", rank: int | None = None) -> list[Event]:
    """The events of a trace that arrives in pieces of so many bytes."""
    reader = TraceReader(path, rank)
    events = [event for at in range(0, len(data), piece) for event in reader.feed(data[at : at + piece])]
    return events + reader.finish()


@cache
def events_of(name: str) -> tuple[Event, ...]:
    """The events of one trace."""
    return tuple(read(trace(name)))
