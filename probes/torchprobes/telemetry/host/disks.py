"""File systems that a job writes to. Each may be a mount whose server is gone, so each is a reading of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ...cells import UNREAD, Cell
from ...samples import DiskSample
from .errands import Reading
from .files import absent
from .memory import sizes

PACE_S: Final = 10.0

PLACES: Final = (
    ("/", "", "system"),
    ("/tmp", "", "temporary files"),  # noqa: S108 - its size is asked for
    ("", "TORCHINDUCTOR_CACHE_DIR", "inductor cache"),
    ("", "TRITON_CACHE_DIR", "triton cache"),
    ("", "HOME", "home"),
)
"""A path, or the variable that names one; and what it is to a job."""


class Use(NamedTuple):
    """What statvfs said; `device` tells file systems apart."""

    device: int | None
    used: Cell
    total: Cell


class Disk:
    """One place; `use` is read by a thread that may be held up."""

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        self.what = what
        self.use: Reading[Use] = Reading(lambda: measure(path), PACE_S)


def places(environ: Mapping[str, str]) -> list[Disk]:
    """The places of this environment; one named by a relative path belongs to no directory that we know."""
    found: dict[str, str] = {}
    for fixed, variable, what in PLACES:
        path = fixed or environ.get(variable, "")
        if path.startswith("/"):
            path = "/" + path.strip("/")
            found[path] = f"{found[path]}, {what}" if path in found else what
    return [Disk(path, what) for path, what in found.items()]


def measure(path: str) -> Use:
    """The file system of a path; of one that is not made yet, that of the nearest folder above."""
    while True:
        try:
            device = os.stat(path).st_dev
            return Use(device, *sizes(path))
        except FileNotFoundError as error:
            above = os.path.dirname(path)
            if above == path:
                return _unknown(error)
            path = above
        except (OSError, ValueError) as error:
            return _unknown(error)


def _unknown(error: Exception) -> Use:
    why = absent(error)
    return Use(None, why, why)


def rows(disks: Sequence[Disk], now: float) -> tuple[DiskSample, ...]:
    """One row a file system: places on the same one share it."""
    shared: dict[object, DiskSample] = {}
    for disk in disks:
        use = _now(disk.use, now)
        key = disk.path if use.device is None else use.device
        known = shared.get(key)
        path, what = (known.path, f"{known.what}, {disk.what}") if known else (disk.path, disk.what)
        shared[key] = DiskSample(path=path, what=what, used_bytes=use.used, total_bytes=use.total)
    return tuple(shared.values())


def _now(reading: Reading[Use], now: float) -> Use:
    why = reading.why_not(now)
    if why is None and reading.value is not None:
        return reading.value
    return Use(None, why or UNREAD, why or UNREAD)
