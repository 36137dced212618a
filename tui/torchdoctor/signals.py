"""A signal to a process on a GPU: to that process and no other, and only to one of our own.

A pid is not a process: it may have been given anew since the list on screen was made, and a driver inside a container
may name pids of the host. So the process is held by a pidfd first, and then compared: the user, the start time, and
that it has the device file of an accelerator open.
"""

from __future__ import annotations

import os
import signal
from typing import Final

DEVICES: Final = ("/dev/nvidia", "/dev/dri/", "/dev/kfd", "/dev/dxg", "/dev/accel")
"""What the device files of accelerators begin with."""


def send(pid: int, started: int | None, number: int, devices: tuple[str, ...] = DEVICES) -> str:
    """Send it; why not, or "". `started` is the start time of the process that is meant, in ticks after boot."""
    if started is None:
        return "it is not known when it was started, so its pid may mean another process"
    if not hasattr(os, "pidfd_open"):
        return "this system cannot hold a process by a pidfd"
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return "it has ended, or it is of another pid namespace"
    except (OSError, OverflowError) as error:
        return f"it cannot be held by a pidfd: {error}"
    try:
        refused = why_not(pid, started, devices)
        if not refused:
            signal.pidfd_send_signal(held, number)
    except ProcessLookupError:
        return "it has ended"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(held)
    return refused


def why_not(pid: int, started: int, devices: tuple[str, ...] = DEVICES) -> str:
    """Why this process gets no signal from us, "" if it may get one.

    Raises:
        OSError: if /proc does not tell.
    """
    if os.readlink("/proc/self") != str(os.getpid()):  # behind `unshare --pid` it may be the outer one
        return "/proc speaks of another pid namespace than ours"
    if _ticks(pid) != started:
        return "another process has this pid by now"
    owner = _owner(pid)
    if owner != os.getuid():
        return f"it belongs to uid {owner}: only your own processes get signals from here"
    if not any(path.startswith(devices) for path in _open_files(pid)):
        return "it has no GPU open here: the driver's pid may be one of another namespace"
    return ""


def _ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read(4096).rpartition(b")")[2].split()[19])


def _owner(pid: int) -> int:
    """The real user: the owner of its files in /proc is root where it must not be traced."""
    with open(f"/proc/{pid}/status", "rb") as file:
        rows = [line.split() for line in file.read(65536).splitlines() if line.startswith(b"Uid:")]
    return int(rows[0][1])


def _open_files(pid: int) -> list[str]:
    folder = f"/proc/{pid}/fd"
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{name}"))
        except OSError:  # closed meanwhile
            continue
    return found
