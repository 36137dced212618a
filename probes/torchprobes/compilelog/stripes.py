"""A big file in pieces, looked at by several processes, the answers in the order of the file. For children alone.

A piece is the whole lines that begin in one stretch of the file: each line is in exactly one. Workers are
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

PIECE_S = 1.0
"""A piece that takes more CPU time is given up: an expression explodes on this text."""

PRead = Callable[[int, int], bytes]
Work = Callable[[int, int], bytes]
"""(start, stop) of a stretch -> the answer for the lines that begin in it."""

LONGEST = 1 << 16
"""Bytes of one line that are searched."""

_SLOW = 75
"""With this a worker says that it was too slow."""

_HEAD = struct.Struct("<I")
_LOOK = 1 << 12


class TooSlow(Exception):
    """A piece took longer than `PIECE_S`."""


def lines_in(pread: PRead, start: int, stop: int) -> tuple[int, bytes, int] | None:
    """Where the first line that begins in a stretch begins, all that do, and where the last newline of them stands.

    A line begins in the stretch in which the newline before it stands (so their number is that of its newlines), the
    first one in the first. Of a huge last line no more than `LONGEST` bytes and a piece are given. None: there is none.

    Raises:
        EOFError: the last of them has no newline.
    """
    begin = 0 if start == 0 else _after_newline(pread, start, stop)
    if begin is None:
        return None
    end = _after_newline(pread, stop, None) if stop > 0 else None
    if end is None:
        raise EOFError
    return begin, pread(min(end - begin - 1, stop - start + LONGEST), begin), end - 1


def _after_newline(pread: PRead, at: int, stop: int | None) -> int | None:
    """The offset after the first newline from `at` on, None if none stands before `stop`."""
    size = _LOOK
    while stop is None or at < stop:
        data = pread(size if stop is None else min(size, stop - at), at)
        newline = data.find(b"\n")
        if newline >= 0:
            return at + newline + 1
        if not data:
            return None
        at += len(data)
        size = PIECE
    return None


def cores() -> int:
    """How many workers are worth it."""
    return max(
        1, min(WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    )


def in_order(work: Work, stop: int, workers: int) -> Iterator[tuple[int, bytes]]:
    """(end of the stretch, its answer), stretch by stretch from 0 to `stop`, where the last newline stands.

    Raises:
        TooSlow: a piece took too long.
        OSError: a worker died otherwise.
    """
    first = min(FIRST, stop)
    with alarm():
        answer = work(0, first)
    yield first, answer
    pids: list[int] = []
    pipes: list[Any] = []
    try:
        for number in range(workers):
            pid, pipe = _fork(work, range(first + number * PIECE, stop, workers * PIECE), stop)
            pids.append(pid)
            pipes.append(pipe)
        for number, at in enumerate(range(first, stop, PIECE)):
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
    """What takes more CPU time than `PIECE_S` inside is broken off: expressions look for signals while they match.

    Raises:
        TooSlow: it did.
    """
    signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, PIECE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _too_slow(_signal: int, _frame: object) -> NoReturn:
    raise TooSlow


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
        os._exit(0)
    except TooSlow:
        os._exit(_SLOW)
    except BaseException:  # noqa: BLE001 - nothing of a worker may go on as if it were its parent
        os._exit(1)


def _read(pipe: Any) -> bytes | None:
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    (length,) = _HEAD.unpack(head)
    answer: bytes = pipe.read(length)
    return answer if len(answer) == length else None


def _death(pid: int) -> Exception:
    _, status = os.waitpid(pid, 0)
    slow = os.WIFEXITED(status) and os.WEXITSTATUS(status) == _SLOW
    return TooSlow() if slow else OSError(0, f"a worker ended early ({status})")
