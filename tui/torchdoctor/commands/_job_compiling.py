"""Whether the process that `diagnose PID` names compiles: in lines, and as a part of the document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from torchprobes.jobs.compiling import Compiling, ask
from torchprobes.model import SCHEMA
from torchprobes.quantity import quantity
from torchprobes.reports.text import mask, plain

from ._table import hanging

KEY = "compiling"


def look_at(what: str) -> Compiling | None:
    """What the process compiles that `what` names by its pid; None for any other name, and for one that is gone."""
    if not (what.isdigit() and len(what) < 10):
        return None
    return ask(int(what))


def is_torch(found: Compiling | None) -> bool:
    """Whether something can be said of a process of which no job is known: torch is in it, or may be."""
    return found is not None and found.torch is not False


def alone(found: Compiling, as_json: bool, width: int) -> bytes:
    """Of a process that is in no job: the verdict on its compiling alone, as JSON or as text."""
    if as_json:
        return msgspec.json.format(msgspec.json.encode({"schema": SCHEMA, "job": None, KEY: found}), indent=2) + b"\n"
    return ("\n".join(compiling_lines(found, width)) + "\n").encode()


def with_compiling(document: bytes, found: Compiling | None) -> bytes:
    """The job document with `compiling`: null where no process was named by its pid."""
    fields: dict[str, Any] = msgspec.json.decode(document)
    return msgspec.json.format(msgspec.json.encode({**fields, KEY: found}), indent=2) + b"\n"


def compiling_lines(found: Compiling, width: int) -> Iterator[str]:
    """The verdict, what it rests on, and what could not be seen."""
    yield from hanging("", plain(mask(found.line)), width)
    for text in (*_what(found), *found.notes):
        yield from hanging("  ", plain(mask(text)), width, indent=4)
    if found.degraded:
        words = found.degraded + (f" · {found.command}" if found.command else "")
        yield from hanging("  not seen: ", plain(mask(words)), width, indent=4)


def _what(found: Compiling) -> Iterator[str]:
    for cache in found.caches:
        yield f"{cache.kind} cache {cache.path}: {_cache(cache)}"
    threads = "" if found.threads is None else f"{found.threads} threads"
    cores = "" if found.cores is None else f"{found.cores:g} cores by its cgroup's quota"
    omp = "" if found.omp_threads is None else f"OMP_NUM_THREADS={found.omp_threads}"
    cpu = "" if found.cpu_percent is None else f"{found.cpu_percent:.0f} % CPU itself"
    told = ", ".join(filter(None, (cpu, threads, cores, omp)))
    if told:
        yield told


def _cache(cache: Any) -> str:
    if cache.files is None or cache.bytes is None:
        return cache.why or "not read"
    grew = f", {cache.new_files} new within the look" if cache.new_files else ""
    last = "" if cache.newest_s is None else f", the newest {quantity(cache.newest_s, 's')} old"
    why = f" ({cache.why})" if cache.why else ""
    return f"{cache.files} files, {quantity(cache.bytes, 'B')}{grew}{last}{why}"
