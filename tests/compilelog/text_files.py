"""The texts of tests/compilelog/data: stderr of real runs, long ones without most of their noise."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TypeVar

from torchprobes.compilelog.events import Event
from torchprobes.compilelog.text import TextReader

DATA = Path(__file__).with_name("data")
NAMES = tuple(sorted(path.name.removesuffix(".log.gz") for path in DATA.glob("text_*.log.gz")))

E = TypeVar("E", bound=Event)


def text_of(name: str) -> bytes:
    return gzip.decompress((DATA / f"{name}.log.gz").read_bytes())


def read(data: bytes | str, cut: int = 1 << 20, *, plain: bool = False) -> list[Event]:
    """The events of `data`, fed in pieces of `cut` bytes."""
    data = data.encode() if isinstance(data, str) else data
    reader = TextReader("stderr.log", plain=plain)
    events: list[Event] = []
    for start in range(0, len(data), cut):
        events += reader.feed(data[start : start + cut])
    return events + reader.finish()


def of(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]
