"""Who of us holds the driver: sampler children of this user, whichever console or command started them.

They are found by what they are and not by files that they left: a process of this user whose command line runs a
`torchprobes/telemetry/sampler.py` isolated, as nothing but `source` starts it. A pid is believed only together with
its start time, and signalled through a pidfd, so that a number that was used again is never hit.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from ..model import Frozen
from ..rundir import start_ticks
from .letting_go import RELEASE

_FILE = (b"torchprobes", b"telemetry", b"sampler.py")
_OPTIONS = [b"-I", b"-B"]


class Holder(Frozen, frozen=True, kw_only=True):
    """One sampler child: its pid with its start time, and the process that started it."""

    pid: int
    start_ticks: int
    parent: int


def find(proc: Path = Path("/proc")) -> tuple[Holder, ...]:
    """Our samplers that live now, of this user; none where there is no /proc."""
    try:
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError:
        return ()
    return tuple(holder for pid in pids if pid != os.getpid() and (holder := _holder(pid, proc)) is not None)


def _holder(pid: int, proc: Path) -> Holder | None:
    try:
        if os.stat(proc / str(pid)).st_uid != os.getuid() or not _is_sampler(
            (proc / str(pid) / "cmdline").read_bytes()
        ):
            return None
        ticks = start_ticks(pid)
        parent = int((proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return None if ticks is None else Holder(pid=pid, start_ticks=ticks, parent=parent)


def _is_sampler(command_line: bytes) -> bool:
    words = command_line.rstrip(b"\0").split(b"\0")
    return len(words) > 3 and words[1:3] == _OPTIONS and tuple(words[3].split(b"/")[-3:]) == _FILE


def close(holders: Sequence[Holder], deadline_s: float) -> tuple[str, ...]:
    """Ask samplers to end, all at once, and wait for that, `deadline_s` seconds for all of them together.

    They are asked by RELEASE, which nobody else sends, so that their console starts no other.

    For each "" if it ended, else why not, in words.
    """
    until = time.monotonic() + deadline_s
    asked = [_ask_to_end(holder) for holder in holders]
    return tuple(_awaited(one, until) if isinstance(one, int) else one for one in asked)


def _ask_to_end(holder: Holder) -> int | str:
    """A pidfd of one that was asked, or why that could not be done, "" if it is gone already."""
    try:
        handle = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        return ""
    except (AttributeError, OSError) as error:
        return f"it cannot be reached without the risk of hitting another process: {error}"
    cause = _signal(handle, holder)
    if cause is None:
        return handle
    os.close(handle)
    return cause


def _signal(handle: int, holder: Holder) -> str | None:
    """Why it was not signalled, "" if it has ended, None if it was. One that was stopped must go on to end."""
    try:
        if start_ticks(holder.pid) != holder.start_ticks:
            return ""  # it ended, and its number belongs to somebody else now
        signal.pidfd_send_signal(handle, RELEASE)
        signal.pidfd_send_signal(handle, signal.SIGCONT)
    except ProcessLookupError:
        return ""
    except OSError as error:
        return str(error.strerror)
    return None


def _awaited(handle: int, until: float) -> str:
    began = time.monotonic()
    try:
        ended, _, _ = select.select([handle], [], [], max(0.0, until - began))
    except OSError as error:
        return str(error.strerror)
    finally:
        os.close(handle)
    return "" if ended else "it has not ended in time: it sits in a driver call that cannot be interrupted"
