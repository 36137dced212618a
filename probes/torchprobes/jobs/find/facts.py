"""The question `sources`: what stands between us and each source of evidence about some ranks. Standard library only.

Facts, without a judgement: what the kernel lets this process do is tried where trying is harmless (opening a file and
closing it again), and read where it is not. Each rank is looked at on a thread of its own.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import threading
import time

from . import hidden, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

MAPS_BYTES: Final = 8 << 20
NAMES: Final = (
    "NCCL_RAS_ENABLE", "NCCL_RAS_ADDR", "TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE",
    "TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_PIPE_FILE",
    "TORCHDOCTOR_NODE", "TORCHDOCTOR_INJECT", "TORCHDOCTOR_EVENTS",
)  # fmt: skip
RAS_PORT: Final = 28028
LISTENS: Final = "0A"
_LIBRARY = re.compile(rb" (/\S{1,1000}/lib(?:nccl\.so|torch_cpu\.so)[^\s/]{0,40})")
_VARIABLE = re.compile(rb"(?:^|\0)(" + "|".join(NAMES).encode() + rb")=([^\0]{0,1024})")
_NVIDIA: Final = ("/dev/nvidiactl", "/dev/kfd", "/dev/dri")
_NAMESPACES: Final = ("pid", "net", "mnt", "user")


def answer(until: float, proc: str, ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """`reader`: what we may do; `ranks`: a row for each of the given ones, by its place among them."""
    found: list[dict[str, Any]] = [quick(proc, rank) for rank in ranks]
    threads = []
    for rank, row in zip(ranks, found, strict=True):
        threads.append(threading.Thread(target=slow if row["seen"] else of_ended, args=(proc, rank, row), daemon=True))
        threads[-1].start()
    mine = reader(proc)
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {"reader": mine, "ranks": [dict(row) for row in found]}


# --- what we may do ----------------------------------------------------------------------------------------------


def reader(proc: str) -> dict[str, Any]:
    """What this process is, may do and has at hand."""
    status = _status(proc, "self")
    return {
        "uid": os.geteuid(),
        "capabilities": int(status.get("CapEff", "0"), 16),
        "no_new_privs": status.get("NoNewPrivs") == "1",
        "yama": _number("/proc/sys/kernel/yama/ptrace_scope"),
        "dmesg_restrict": _number("/proc/sys/kernel/dmesg_restrict"),
        "kmsg": _opens("/dev/kmsg"),
        "journal": any(os.access(path, os.R_OK) for path in _journals()),
        "hidepid": hidden.hidepid(proc),
        "pyspy": _pyspy(),
        "python": sys.executable,
        "devices": any(os.path.exists(path) for path in _NVIDIA),
        "container": hidden.inside_container(proc),
        "kubernetes": "KUBERNETES_SERVICE_HOST" in os.environ,
        "pidfd": hasattr(os, "pidfd_open"),
    }


def _pyspy() -> str:
    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    return beside if os.access(beside, os.X_OK) else shutil.which("py-spy") or ""


def _journals() -> list[str]:
    """The system's journal files, which its group may read."""
    found: list[str] = []
    for top in ("/var/log/journal", "/run/log/journal"):
        try:
            found += [f"{top}/{name}/system.journal" for name in os.listdir(top)[:8]]
        except OSError:
            continue
    return found


def _number(path: str) -> int | None:
    try:
        return int(reading.read_file(path, 64))
    except (OSError, ValueError):
        return None


def _opens(path: str) -> str:
    """Why it may not be opened for reading, "" if it may."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.strerror or "no"
    return ""


def _status(proc: str, pid: int | str) -> dict[str, str]:
    try:
        text = reading.read_file(f"{proc}/{pid}/status", reading.SMALL_BYTES).decode(errors="replace")
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


# --- what a rank is ----------------------------------------------------------------------------------------------


def quick(proc: str, rank: dict[str, Any]) -> dict[str, Any]:
    """What never waits. `seen` is whether /proc shows it, `there` whether it exists; None in a field: unread."""
    pid = int(rank["pid"])
    seen = reading.stat(proc, pid)
    same = seen is not None and seen.start == rank["start_ticks"]
    status = _status(proc, pid) if same else {}
    return {
        "seen": same and not (seen and seen.ended),
        "ended": bool(same and seen and seen.ended),
        "there": same or (seen is None and _exists(pid)),
        "state": seen.state if seen and same else "",
        "nested": len(status.get("NSpid", "").split()) > 1,
        "namespaces": _namespaces(proc, pid) if same else {},
        "environ": None, "denied": "", "memory": None, "nccl": "", "torch": "", "libraries": None, "dump": "",
        "logs": {}, "ras": None, "done": False,
    }  # fmt: skip


def _exists(pid: int) -> bool:
    """Whether there is such a process, be it hidden: asking for its group needs no right to it."""
    try:
        os.getpgid(pid)
    except OSError as error:
        return error.errno == errno.EPERM
    return True


def _namespaces(proc: str, pid: int) -> dict[str, bool | None]:
    """Namespace -> whether it is another than ours; None where that is not shown."""
    links = {name: reading.link(f"{proc}/{pid}/ns/{name}") for name in _NAMESPACES}
    return {name: reading.link(f"/proc/self/ns/{name}") != link if link else None for name, link in links.items()}


def of_ended(_proc: str, rank: dict[str, Any], row: dict[str, Any]) -> None:
    """What is left of a rank that has ended, or is hidden: its logs."""
    row["logs"] = {path: os.access(path, os.R_OK, effective_ids=True) for path in rank["logs"] if path}


def slow(proc: str, rank: dict[str, Any], row: dict[str, Any]) -> None:
    """What may wait: for the memory lock of the rank, or for a file system."""
    pid = int(rank["pid"])
    of_ended(proc, rank, row)
    try:
        data = reading.read_file(f"{proc}/{pid}/environ", reading.ENVIRONMENT_BYTES)
        row["environ"] = {name.decode(): reading.printable(value) for name, value in _VARIABLE.findall(data)}
        row["denied"] = "" if data.strip(b"\0 ").partition(b"=")[1] else "overwritten"
    except OSError as error:
        row["denied"] = "owner" if error.errno in (errno.EACCES, errno.EPERM) else "gone"
    row["memory"] = not _opens(f"{proc}/{pid}/mem")  # the right that py-spy needs, without touching the process
    environ = row["environ"] or {}
    row["ras"] = _listening(proc, pid, environ)
    row["libraries"] = _libraries(proc, pid, row)
    row["dump"] = _dump(rank, environ)
    row["done"] = True


def _listening(proc: str, pid: int, environ: dict[str, str]) -> bool | None:
    """Whether something listens on the port of RAS in the network namespace of the rank."""
    port = environ.get("NCCL_RAS_ADDR", "").rpartition(":")[2]
    wanted = f"{int(port) if port.isdigit() and len(port) < 6 else RAS_PORT:04X}"
    found = None
    for table in ("tcp", "tcp6"):
        try:
            lines = reading.read_file(f"{proc}/{pid}/net/{table}", 4 << 20).decode(errors="replace").splitlines()[1:]
        except OSError:
            continue
        rows = [line.split() for line in lines]
        found = bool(found) or any(len(r) > 3 and r[3] == LISTENS and r[1].rpartition(":")[2] == wanted for r in rows)
    return found


def _libraries(proc: str, pid: int, row: dict[str, Any]) -> bool | None:
    """Whether its libraries could be seen; the versions of NCCL and torch go into the row."""
    try:
        paths = {os.fsdecode(path) for path in _LIBRARY.findall(reading.read_file(f"{proc}/{pid}/maps", MAPS_BYTES))}
    except OSError:
        return None
    root = f"{proc}/{pid}/root" if row["namespaces"].get("mnt") else ""
    for path in paths:
        if "libnccl" in path:
            row["nccl"] = _version(f"{root}{path}", 3, r"nvidia_nccl_cu\d+-([\d.]+)\.dist-info") or _soname(root + path)
        else:
            row["torch"] = _version(f"{root}{path}", 2, r"torch-([\w.+]+)\.dist-info")
    return True


def _version(path: str, up: int, pattern: str) -> str:
    """What the metadata beside a library's package says: `up` folders above the library's own."""
    folder = path
    for _ in range(up + 1):
        folder = os.path.dirname(folder)
    try:
        names = os.listdir(folder)
    except OSError:
        return ""
    return next((found[1] for name in names if (found := re.fullmatch(pattern, name))), "")


def _soname(path: str) -> str:
    found = re.search(r"\.so\.(\d+\.\d+[\d.]*)$", os.path.realpath(path))
    return found[1] if found else "unknown"


def _dump(rank: dict[str, Any], environ: dict[str, str]) -> str:
    """The file into which its flight recorder was dumped since it was started, "" if there is none."""
    names = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")
    prefix = next((environ[name] for name in names if environ.get(name)), "/tmp/nccl_trace_rank_")  # noqa: S108 - torch's
    path = f"{prefix}{rank['rank']}"
    try:
        began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + rank["start_ticks"] / os.sysconf("SC_CLK_TCK")
        return path if os.stat(path).st_mtime >= began - 1 else ""
    except OSError:
        return ""
