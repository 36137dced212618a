"""Structured traces for tests: those of the corpus, as torch wrote them, and records made here in the same form."""

from __future__ import annotations

import hashlib
import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

from torchprobes.compilelog.events import Event
from torchprobes.compilelog.trace import TraceReader

TRACES = Path(__file__).parent / "traces"
NAMES = tuple(sorted(path.name.removesuffix(".log.xz") for path in TRACES.glob("*.log.xz")))
"""`03_graph_breaks`, `08_ddp_gloo_rank1`: debug_only of each case; of torch 2.6 the full run."""


@cache
def trace(name: str) -> bytes:
    """The bytes of one trace."""
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


def record(
    name: str,
    value: object = None,
    payload: str | None = None,
    compile_id: tuple[int, int] | None = (0, 0),
    pid: int = 4242,
    when: str = "1123 06:12:11.791000",
    **keys: Any,
) -> bytes:
    """One record as `TorchLogsFormatter` writes it; an artifact where `value` is None and there is a payload."""
    artifact = value is None and payload is not None
    body: dict[str, object] = {"artifact": {"name": name, "encoding": "string"}} if artifact else {name: value}
    body |= {} if compile_id is None else {"frame_id": compile_id[0], "frame_compile_id": compile_id[1], "attempt": 0}
    body |= keys
    if payload is None:
        return f"V{when} {pid} torch/_dynamo/utils.py:2350] {json.dumps(body)}\n".encode()
    body["has_payload"] = hashlib.md5(payload.encode()).hexdigest()
    lines = "".join(f"\t{line}\n" for line in payload.split("\n"))
    return f"V{when} {pid} torch/_dynamo/utils.py:2350] {json.dumps(body)}\n{lines}".encode()


def phase(name: str, kind: str, us: float, compile_id: tuple[int, int] | None = (0, 0), **args: object) -> bytes:
    """A `chromium_event`."""
    told = {"compile_id": "None" if compile_id is None else "{}/{}".format(*compile_id)} | args
    event = {"name": name, "ts": us, "args": told, "ph": kind, "cat": "dynamo_timed", "tid": 0, "pid": 0}
    return record("chromium_event", {}, json.dumps(event, indent=0), compile_id)
