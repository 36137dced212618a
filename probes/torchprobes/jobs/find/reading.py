"""What /proc says of processes, read once each: the bounded reads of a scan. Standard library only.

`stat` answers for every process at once. The command line and the environment lie in a process's own memory, behind a
lock that a process stuck in the kernel may hold: the scan reads them where it can be abandoned (`scan.py`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ENVIRONMENT_BYTES: Final = 256 << 10
COMMAND_BYTES: Final = 4 << 10
SMALL_BYTES: Final = 16 << 10
MOST_FILES: Final = 1024
MOST_THREADS: Final = 256

KERNEL_THREAD: Final = 0x00200000
"""PF_KTHREAD in the flags of /proc/PID/stat: it has no memory, no command line and no environment."""

NAMES: Final = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT",
    "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS",
    "SLURM_PTY_PORT",
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_NAMESPACE",
    "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID",
    "HOROVOD_RANK", "HOROVOD_SIZE", "HOROVOD_LOCAL_RANK",
    "CUDA_VISIBLE_DEVICES", "TORCHDOCTOR_NODE", "TORCHDOCTOR_EVENTS",
)  # fmt: skip
"""Variables that say who a process is in a job. No other leaves the scan."""

_MARKS: Final = (b"RANK=", b"MASTER_ADDR=", b"SLURM_PROCID=", b"CUDA_VISIBLE_DEVICES=")
"""What every environment that gives a place in a job holds: looking for them is a tenth of taking one apart."""

_WANTED = re.compile(rb"(?:^|\0)(" + "|".join(NAMES).encode() + rb")=([^\0]{0,1024})")


class Seen:
    """One process. `command` and `environ` are None while unread; `denied` says in one word why they stay so.

    `denied` is "" · "owner" (another user's) · "stuck" (its memory lock) · "overwritten" (it set a title over its
    environment: setproctitle does) · "gone". `kind` and `python` are what `programs` made of its command line.
    """

    __slots__ = (
        "command", "denied", "environ", "kernel", "kind", "name", "parent", "pid", "python", "session", "start",
        "state", "threads",
    )  # fmt: skip

    def __init__(self, pid: int, parent: int, start: int, name: str = "", state: str = "S") -> None:
        self.pid, self.parent, self.start, self.name, self.state = pid, parent, start, name, state
        self.session = 0
        self.threads = 1
        self.kernel = False
        self.kind: str | None = None
        self.python: bool | None = None
        self.command: tuple[str, ...] | None = None
        self.environ: dict[str, str] | None = None
        self.denied = ""

    @property
    def ended(self) -> bool:
        """Whether it waits only to be reaped."""
        return self.state in "ZXx"

    @property
    def words(self) -> tuple[str, ...]:
        """Its command line, () where there is none."""
        return self.command or ()

    @property
    def told(self) -> dict[str, str]:
        """Its environment as far as it is wanted, {} where there is none."""
        return self.environ or {}


def read_file(path: str, most: int) -> bytes:
    """At most so many bytes of a file; /proc gives a page at a time."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(handle, most)
        if not data:
            return data
        parts, left = [data], most - len(data)
        while left > 0 and (data := os.read(handle, left)):
            parts.append(data)
            left -= len(data)
        return b"".join(parts)
    finally:
        os.close(handle)


def read_at_once(path: str, most: int) -> bytes:
    """The same of a file that the kernel hands out whole: one that ends before `most` has been read to its end."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, most)
    finally:
        os.close(handle)


def pids(proc: str) -> list[int]:
    """All pids that /proc shows, ascending."""
    try:
        return sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    except OSError:
        return []


def stat(proc: str, pid: int) -> Seen | None:
    """The process as the scheduler has it; None if it is gone, or hidden."""
    try:
        head, _, tail = read_at_once(f"{proc}/{pid}/stat", 4096).rpartition(b")")
        fields = tail.split()
        seen = Seen(pid, int(fields[1]), int(fields[19]), printable(head.partition(b"(")[2]), fields[0].decode())
        seen.session, seen.threads = int(fields[3]), int(fields[17])
        seen.kernel = bool(int(fields[6]) & KERNEL_THREAD)
    except (OSError, IndexError, ValueError):
        return None
    return seen


def memory(proc: str, seen: Seen) -> None:
    """Its command line and environment. May block for ever."""
    folder = f"{proc}/{seen.pid}"
    try:
        raw = read_at_once(f"{folder}/cmdline", COMMAND_BYTES)
        seen.command = tuple(printable(word) for word in raw.rstrip(b"\0").split(b"\0")) if raw else ()
        data = read_at_once(f"{folder}/environ", ENVIRONMENT_BYTES)
    except OSError as error:
        seen.denied = "owner" if error.errno in (errno.EACCES, errno.EPERM) else "gone"
        return
    wanted = _WANTED.findall(data) if any(mark in data for mark in _MARKS) else ()
    seen.environ = {name.decode(): printable(value) for name, value in wanted}
    if b"=" not in data:
        seen.denied = "overwritten"


def owner(proc: str, pid: int) -> int:
    """The uid of its folder, which is root's for one that may not be dumped; -1 if it cannot be seen."""
    try:
        return os.stat(f"{proc}/{pid}").st_uid
    except OSError:
        return -1


def status(proc: str, pid: int) -> tuple[int | None, int | None]:
    """Its real uid, and its pid in the innermost namespace, as /proc/PID/status has them."""
    try:
        text = read_file(f"{proc}/{pid}/status", SMALL_BYTES).decode(errors="replace")
    except OSError:
        return None, None
    rows = {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}
    return _number(rows.get("Uid", [])[:1]), _number(rows.get("NSpid", [])[-1:])


def _number(words: list[str]) -> int | None:
    return int(words[0]) if words and words[0].isdigit() else None


def children(proc: str, seen: Seen) -> list[int]:
    """Its children in the order of their birth, where the kernel keeps a list (CONFIG_PROC_CHILDREN); else []."""
    found: list[int] = []
    try:
        for thread in sorted(map(int, os.listdir(f"{proc}/{seen.pid}/task")[:MOST_THREADS])):
            found += map(int, read_file(f"{proc}/{seen.pid}/task/{thread}/children", SMALL_BYTES).split())
    except (OSError, ValueError):
        return found
    return found


def thread_names(proc: str, pid: int) -> list[str]:
    """The names of its threads, which every user may read."""
    found: list[str] = []
    with contextlib.suppress(OSError):
        folder = f"{proc}/{pid}/task"
        found.extend(_name(f"{folder}/{thread}/comm") for thread in os.listdir(folder)[:MOST_THREADS])
    return found


def _name(path: str) -> str:
    return read_at_once(path, 64).decode(errors="replace").strip()


def link(path: str) -> str:
    """Where a link of /proc leads, "" if that may not be seen."""
    try:
        return printable(os.fsencode(os.readlink(path)))
    except OSError:
        return ""


def printable(data: bytes) -> str:
    """Bytes as text in which nothing can steer a terminal."""
    text = data.decode(errors="replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
