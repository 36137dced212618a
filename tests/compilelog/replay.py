"""A recorded run of the corpus, written again at a multiple of its pace: the same bytes, file by file, in their order.

A timeline says when each file was how large (polled every 20 ms while the run was recorded), and when which bytes came
on stdout and stderr; a file is cut at these sizes, scaled to what it holds now.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CORPUS = Path(os.environ.get("TORCHDOCTOR_CORPUS", HERE.parents[2] / "shared" / "corpus"))
"""The whole corpus, for benches; it is no part of this repository."""


@dataclass(frozen=True)
class Write:
    """Some bytes of one file, or a folder that appears (no bytes)."""

    at_s: float
    path: str
    offset: int = 0
    data: bytes | None = None


def content(folder: Path, name: str) -> bytes | None:
    """A file of a case, packed or not; None where it is missing."""
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        return plain.read_bytes()
    return gzip.decompress(packed.read_bytes()) if packed.is_file() else None


def unpacked(case: str, into: Path) -> None:
    """A run that lies here: an archive of what matters of its files."""
    with tarfile.open(HERE / "corpus" / f"{case}.tar.xz") as archive:
        archive.extractall(into, filter="data")


def recorded(case: str, into: Path) -> list[Write]:
    """The writes of such a run, as its timeline has them."""
    unpacked(case, into)
    return plan(into, json.loads(lzma.decompress((HERE / "timelines" / f"{case}.json.xz").read_bytes())))


def plan(folder: Path, timeline: dict[str, Any]) -> list[Write]:
    """All writes of one recorded run, in the order of their time; a graph's file that was not kept has one line."""
    writes: list[Write] = []
    for name, growth in timeline["files"].items():
        below = name.removeprefix("/workspace/")
        if below.endswith("/"):
            writes.append(Write(growth[0][0], below))
        elif (data := content(folder, below)) is not None or "/model__" in below:
            writes += _grown(below, b"# not kept\n" if data is None else data, growth)
    for name in ("stdout", "stderr"):
        data = content(folder, f"{name}.log") or b""
        writes += _chunks(f"{name}.log", data, timeline[f"{name}_chunks"])
    return sorted(writes, key=lambda write: write.at_s)


def _grown(name: str, data: bytes, growth: list[list[Any]]) -> Iterator[Write]:
    full = max((size or 0 for _, size, *_ in growth), default=0)
    done = 0
    for at_s, size, *_ in growth:
        end = len(data) if size == full else len(data) * (size or 0) // (full or 1)
        yield Write(at_s, name, done, data[done:end])
        done = end


def _chunks(name: str, data: bytes, chunks: list[list[Any]]) -> Iterator[Write]:
    whole = sum(count for _, count in chunks) or 1
    done = passed = 0
    for at_s, count in chunks:
        passed += count
        end = len(data) * passed // whole
        yield Write(at_s, name, done, data[done:end])
        done = end


def write(
    writes: Iterable[Write], out: Path, speed: float, wrote: Callable[[Write, float], None] | None = None
) -> None:
    """Write it all below `out`, `speed` times as fast; `wrote` is told each write and its monotonic time."""
    begun = time.monotonic()
    for one in writes:
        time.sleep(max(0.0, one.at_s / speed - (time.monotonic() - begun)))
        path = out / one.path
        if one.data is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, one.data)
        finally:
            os.close(fd)
        if wrote is not None:
            wrote(one, time.monotonic())
