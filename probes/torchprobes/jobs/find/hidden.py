"""What a scan could not see, in words with the command that would obtain it. Standard library only."""

from __future__ import annotations

import os

from . import programs, reading
from .assemble import user
from .scan import Census

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

AS_ROOT: Final = "run as root: sudo torchdoctor jobs"
MOST_NAMED: Final = 8


def notes(census: Census) -> list[str]:
    """One line for each reason why a job may be missing or told in part."""
    found = [_hidepid(census), _others(census), _stuck(census), _unread(census), _namespace(census)]
    return [note for note in found if note]


def _hidepid(census: Census) -> str:
    """proc(5), hidepid: 1 closes the folders of other users' processes, 2 hides them, 4 all that we may not trace."""
    value = hidepid(census.proc)
    if value in ("", "0", "off") or os.geteuid() == 0:
        return ""
    shown = sum(seen.threads for seen in census.processes.values())
    there = _threads_of_machine(census.proc)
    count = f": {shown} of {there} threads of this machine can be seen" if there and there > shown else ""
    group = "or have root let your group see them: mount -o remount,gid=GROUP /proc"
    return f"/proc hides the processes of other users (hidepid={value}){count}; {AS_ROOT}, {group}"


def hidepid(proc: str) -> str:
    """The option `hidepid` of the mount that we read, "" if it has none."""
    try:
        lines = reading.read_file(f"{proc}/self/mountinfo", 256 << 10).decode(errors="replace").splitlines()
    except OSError:
        return ""
    options = ""
    for words in map(str.split, lines):
        if len(words) > 6 and words[4] == proc and words[words.index("-") + 1 if "-" in words else 0] == "proc":
            options = words[-1]  # the last mount on one place is the one that is seen
    return next((one[8:] for one in options.split(",") if one.startswith("hidepid=")), "")


def _threads_of_machine(proc: str) -> int | None:
    """The number after the slash of /proc/loadavg: every thread of the kernel's, hidden or not."""
    try:
        return int(reading.read_file(f"{proc}/loadavg", 256).split()[3].partition(b"/")[2])
    except (OSError, IndexError, ValueError):
        return None


def _others(census: Census) -> str:
    """Processes whose environment only their owner may read: all of them counted, Python's named."""
    closed = [seen for seen in census.processes.values() if seen.denied == "owner"]
    python = sum(programs.is_python(seen) for seen in closed)
    root = os.geteuid() == 0
    if not closed or (root and not python):
        return ""
    users = sorted({user(uid) for seen in closed if (uid := reading.owner(census.proc, seen.pid)) >= 0})
    whose = ", ".join(users[:MOST_NAMED]) or "other users"
    plural = "process" if len(closed) == 1 else "processes"
    cure = "not even root may here: CAP_SYS_PTRACE is missing, or a security module refuses" if root else AS_ROOT
    return (
        f"the environment of {len(closed)} {plural} of {whose} could not be read, {python} of them Python: ranks that "
        f"nothing else names are missing; {cure}"
    )


def _stuck(census: Census) -> str:
    if not census.stuck:
        return ""
    pids = ", ".join(map(str, census.stuck[:MOST_NAMED]))
    look = f"ps -o pid,stat,wchan {census.stuck[0]}"
    return f"pid {pids} does not let its memory be read: stuck in the kernel, or being dumped; look: {look}"


def _unread(census: Census) -> str:
    return f"{census.unread} processes were not read in time: ask again" if census.unread else ""


def _namespace(census: Census) -> str:
    """Whether this is a container's own /proc: ranks outside it cannot be seen from here."""
    if not inside_container(census.proc):
        return ""
    return "this is a pid namespace (a container): jobs outside it cannot be seen; run torchdoctor on the host"


def inside_container(proc: str) -> bool:
    """Whether our pid namespace is not the machine's own, whose inode the kernel fixes (PROC_PID_INIT_INO)."""
    link = reading.link(f"{proc}/self/ns/pid")
    return bool(link) and link != "pid:[4026531836]"
