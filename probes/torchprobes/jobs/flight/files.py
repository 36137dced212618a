"""Dumps of the flight recorder in files, and on demand through the pipe of a job that was prepared for it.

A file is believed if it is the rank's own (owner) and younger than its process. The pipe is written to only where the
rank's own environment names it: somebody prepared this job for that (`env --diagnosable`), and torch's own monitor
thread reads it once a second and writes the dump (ProcessGroupNCCL, `DumpPipe`).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ...distributed import RankIdentity
from ...rank_evidence import Flight
from .parse import MOST_BYTES, BadDump, parse

_POLL_S: Final = 0.02


class NoFlight(Exception):
    """No dump could be had; the text says why, in one line."""


class Mark(NamedTuple):
    """What tells one version of a file from the next."""

    mtime_ns: int
    size: int


_NOTHING: Final = Mark(0, 0)


def places(rank: int, environment: Mapping[str, str], root: str = "") -> tuple[str, ...]:
    """Where torch writes the dump of a rank: the named prefix and the global rank; else its defaults, newest first."""
    named = [environment.get(name) for name in ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")]
    prefixes = [prefix for prefix in named if prefix]
    if not prefixes:
        home = environment.get("HOME", "")
        cache = environment.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
        prefixes = [f"{cache}/torch/{name}_trace_rank_" for name in ("comm_lib", "nccl") if cache]
        prefixes += ["/tmp/nccl_trace_rank_"]  # noqa: S108 - torch's own default, up to 2.6
    return tuple(f"{root}{prefix}{rank}" for prefix in dict.fromkeys(prefixes))


def newest(paths: Sequence[str], rank: RankIdentity, since_ns: int) -> Flight:
    """The youngest dump of these files.

    Raises:
        NoFlight: there is none of this rank's process.
    """
    reasons = []
    there = {path: mark.mtime_ns for path in paths if (mark := _mark(path)) != _NOTHING}
    for path in sorted(there, key=lambda path: there[path], reverse=True):
        try:
            return _read(path, rank, since_ns, "file")
        except NoFlight as error:
            reasons.append(str(error))
    raise NoFlight(reasons[0] if reasons else "it has written no dump")


def on_demand(stem: str, paths: Sequence[str], rank: RankIdentity, root: str, deadline: float) -> Flight:
    """Have the rank write its dump, and read that.

    Raises:
        NoFlight: the pipe is not there or not the rank's, or no dump came in time.
    """
    before = {path: _mark(path) for path in paths}
    now_ns = time.time_ns()
    _poke(f"{root}{stem}{rank.rank}.pipe", rank)
    while time.monotonic() < deadline:
        for path in paths:
            mark = _mark(path)
            if mark != before[path] and mark.size:
                try:
                    return _read(path, rank, now_ns - 1_000_000_000, "pipe")
                except NoFlight:  # it is still being written
                    continue
        time.sleep(_POLL_S)
    raise NoFlight("its pipe was written to, and no dump came within the deadline")


def _poke(pipe: str, rank: RankIdentity) -> None:
    try:
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NoFlight(f"its pipe {pipe}: {error.strerror}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISFIFO(found.st_mode):
            raise NoFlight(f"{pipe} is no pipe")
        if rank.uid is not None and found.st_uid != rank.uid:
            raise NoFlight(f"{pipe} belongs to uid {found.st_uid}, the rank to uid {rank.uid}")
        os.write(handle, b"1")
    except OSError as error:
        raise NoFlight(f"its pipe {pipe}: {error.strerror}") from None
    finally:
        os.close(handle)


def _read(path: str, rank: RankIdentity, since_ns: int, how: str) -> Flight:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NoFlight(f"{path}: {error.strerror}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise NoFlight(f"{path} is no file")
        if rank.uid is not None and found.st_uid != rank.uid:
            raise NoFlight(f"{path} belongs to uid {found.st_uid}, the rank to uid {rank.uid}")
        if found.st_mtime_ns < since_ns:
            raise NoFlight(f"{path} is older than the process")
        if not 0 < found.st_size <= MOST_BYTES:
            raise NoFlight(f"{path} is empty" if not found.st_size else f"{path} is larger than {MOST_BYTES >> 20} MiB")
        return parse(_whole(handle, found.st_size), how, found.st_mtime_ns)
    except (OSError, BadDump) as error:
        raise NoFlight(f"{path}: {error}") from None
    finally:
        os.close(handle)


def _whole(handle: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := os.read(handle, size - len(data))):
        data += piece
    return bytes(data)


def _mark(path: str) -> Mark:
    try:
        found = os.lstat(path)
    except OSError:
        return _NOTHING
    return Mark(found.st_mtime_ns, found.st_size)
