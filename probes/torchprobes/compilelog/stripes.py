"""A big file in pieces, looked at by several processes, the answers in the order of the file. For children alone.

A piece is the whole lines that begin in one stretch of the file, so that each line is in exactly one. Workers are
forked: nothing is imported again, and the pages of the interpreter are shared.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

PIECE = 1 << 20
FIRST = 1 << 17
"""The first piece is small: what is found in it is shown at once."""

WORKERS = 4
"""At most; not more than there are cores for us."""

PIECE_S = 2.0
"""A piece that takes longer ends its worker with SIGALRM: an expression explodes on this text."""

PRead = Callable[[int, int], bytes]
Work = Callable[[int, int], bytes]
"""(start, stop) of a stretch -> the answer for the lines that begin in it."""

_HEAD = struct.Struct("<I")
_LOOK = 1 << 16


class TooSlow(Exception):
    """A piece took longer than `PIECE_S`."""


def whole_lines(pread: PRead, start: int, stop: int) -> tuple[int, bytes]:
    """The lines that begin in [start, stop), with their newlines, and where the first one begins.

    A last line of the file without a newline is left out.
    """
    begin = max(0, start - 1)
    data = pread(stop - begin, begin)
    if start > 0:
        newline = data.find(b"\n")
        if newline < 0 or newline + 1 >= len(data):
            return stop, b""
        data, begin = data[newline + 1 :], begin + newline + 1
    if data.endswith(b"\n") or not data:
        return begin, data
    return begin, data + _to_newline(pread, begin + len(data), data)


def _to_newline(pread: PRead, at: int, data: bytes) -> bytes:
    """What is missing of the last line of `data`; of a huge one only its beginning is kept, but its end is found."""
    missing: list[bytes] = []
    while True:
        more = pread(_LOOK, at)
        newline = more.find(b"\n")
        if newline >= 0:
            missing.append(more[: newline + 1])
            return b"".join(missing)
        if not more:
            raise EOFError
        if len(missing) < 2:
            missing.append(more)
        at += len(more)


def cores() -> int:
    """How many workers are worth it."""
    return max(
        1, min(WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    )


def in_order(work: Work, start: int, stop: int, workers: int) -> Iterator[tuple[int, bytes]]:
    """(end of the stretch, its answer), stretch by stretch.

    Raises:
        TooSlow: a worker was ended by its alarm.
        OSError: a worker died otherwise.
    """
    with alarm():
        answer = work(start, start + FIRST)
    yield start + FIRST, answer
    start += FIRST
    pids: list[int] = []
    pipes: list[Any] = []
    try:
        for number in range(workers):
            pid, pipe = _fork(work, range(start + number * PIECE, stop, workers * PIECE), stop)
            pids.append(pid)
            pipes.append(pipe)
        for number, at in enumerate(range(start, stop, PIECE)):
            told = _read(pipes[number % workers])
            if told is None:
                raise _death(pids.pop(number % workers))
            yield min(stop, at + PIECE), told
    finally:
        for pipe in pipes:
            pipe.close()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def alarm() -> Iterator[None]:
    """What takes longer than `PIECE_S` inside ends the process."""
    signal.setitimer(signal.ITIMER_REAL, PIECE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _fork(work: Work, starts: range, stop: int) -> tuple[int, Any]:
    inward, outward = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(inward)
        _labour(work, starts, stop, outward)
    os.close(outward)
    return pid, os.fdopen(inward, "rb")


def _labour(work: Work, starts: range, stop: int, outward: int) -> NoReturn:
    """A worker's life; it ends when its pieces are done, or nobody reads any more."""
    try:
        with os.fdopen(outward, "wb") as pipe:
            for start in starts:
                with alarm():
                    answer = work(start, min(stop, start + PIECE))
                pipe.write(_HEAD.pack(len(answer)) + answer)
                pipe.flush()
    except (OSError, EOFError):
        pass
    finally:
        os._exit(0)


def _read(pipe: Any) -> bytes | None:
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    (length,) = _HEAD.unpack(head)
    answer: bytes = pipe.read(length)
    return answer if len(answer) == length else None


def _death(pid: int) -> Exception:
    _, status = os.waitpid(pid, 0)
    slow = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    return TooSlow() if slow else OSError(0, f"a worker ended early ({status})")
