"""Questions about this node's identity, answered in the inspector child. Standard library only."""

from __future__ import annotations

import os
import platform
import re
import socket
from collections.abc import Callable
from typing import Any

from .places import read_regular

MAX_BYTES = 256 << 10


def machine() -> dict[str, Callable[[], Any]]:
    """Each item of the node's identity by itself, so that one that cannot be read hides no other."""
    return {
        "host": socket.gethostname,
        "boot_id": lambda: _text("/proc/sys/kernel/random/boot_id").strip(),
        "kernel": platform.release,
        "arch": platform.machine,
        "os": _os_name,
        "cpu": _cpu_name,
        "cores": _cores,
        "memory_bytes": _memory_bytes,
        "driver": _driver,
    }


def _text(path: str) -> str:
    return read_regular(path, MAX_BYTES).decode(errors="replace")


def _os_name() -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text("/etc/os-release"), re.MULTILINE)
    return match[1] if match else platform.system()


def _cpu_name() -> str:
    """x86 names the model; an Arm kernel gives implementer and part numbers only."""
    match = re.search(r"^(?:model name|Model|CPU part)\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    return match[1].strip() if match else platform.processor()


def _cores() -> int:
    """Cores that this process may run on: what a container or a job really has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0


def _memory_bytes() -> int:
    match = re.search(r"^MemTotal:\s*(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    return int(match[1]) << 10 if match else 0


def _driver() -> str | None:
    """The loaded kernel module's version; None without one."""
    try:
        match = re.search(r"Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", _text("/proc/driver/nvidia/version"))
    except FileNotFoundError:
        return None
    return match[1] if match else None


ANSWERS: dict[str, Callable[..., Any]] = {"machine": machine}
