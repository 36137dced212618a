"""The faulthandler of a rank of our own run: asked by a private signal, answered in a file.

The only signal that is ever sent for a diagnosis. It goes to a rank only if our own run injected the handler and told
signal and file, if the kernel says that the process catches that very signal (its default would kill), and through a
handle on the process, so that it reaches this one or none.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path
from typing import Final

from ...distributed import RankIdentity
from ...rank_evidence import ProcessReading, Stack
from ...runner import processes
from .dumps import parse_dump
from .pyspy import NoStack

MOST_BYTES: Final = 4 << 20
_POLL_S: Final = 0.002
_QUIET_S: Final = 0.02
"""So long without growth and a dump is whole: a handler writes it in one go."""


def dump(rank: RankIdentity, reading: ProcessReading, number: int, file: Path, deadline_s: float) -> Stack:
    """Ask one rank of our own run for its stacks.

    Raises:
        NoStack: it does not catch the signal, is stopped, or wrote nothing in time.
    """
    _check(reading, number)
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NoStack(f"faulthandler: its file: {error.strerror}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise NoStack("faulthandler: what it writes to is no file")
        if not processes.send(processes.Entry(rank.pid, rank.start_ticks, 0), number):
            raise NoStack("faulthandler: the process has ended, or may not be reached")
        text = _grown(handle, found.st_size, time.monotonic() + deadline_s)
    finally:
        os.close(handle)
    stack = parse_dump(text.decode(errors="replace"), "faulthandler", time.time_ns())
    if stack is None:
        raise NoStack("faulthandler: no answer within its deadline")
    return stack


def _check(reading: ProcessReading, number: int) -> None:
    if not signal.SIGRTMIN <= number <= signal.SIGRTMAX:
        raise NoStack(f"faulthandler: signal {number} is not a private one")
    caught = reading.signals_caught
    if caught is None or not caught >> (number - 1) & 1:
        raise NoStack(f"faulthandler: the process does not catch signal {number} (by now)")
    if reading.state in ("T", "t", "D", "Z", "gone"):
        raise NoStack(f"faulthandler: the process is in state {reading.state} and handles no signal")


def _grown(handle: int, start: int, deadline: float) -> bytes:
    """What was appended, once nothing more comes."""
    size, changed = start, time.monotonic()
    while (now := time.monotonic()) < deadline:
        latest = os.fstat(handle).st_size
        if latest != size:
            size, changed = latest, now
        elif size > start and now - changed >= _QUIET_S:
            break
        time.sleep(_POLL_S)
    return os.pread(handle, min(max(0, size - start), MOST_BYTES), start)
