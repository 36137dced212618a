"""Rules of `system.*`: the cores, and the folders that PyTorch and its caches write to."""

from __future__ import annotations

from ...model import Figure, Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, figure, is_true, line
from ..rules import Expected, Positive, Rule
from . import cpu as cpu_rules

_DISK = ("system.disk",)

GIB = 1 << 30
LEAST_FREE = {
    "tmp": GIB, "inductor_cache": GIB, "triton_cache": GIB, "home": GIB // 4, "torch_home": 2 * GIB,
    "hf_home": 10 * GIB,
}  # fmt: skip
"""Bytes: generated code takes some hundred MiB, a vision model 0.5 GiB, a small language model 5 GiB and its copy."""

LEAST_INODES = 10_000
"""An Inductor cache of one large model holds some thousand files."""

NEEDED_TO_RUN = ("tmp", "inductor_cache", "triton_cache")
CODE = ("inductor_cache", "triton_cache")

NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "9p", "fuse", "wekafs", "pvfs")
"""File system types, by beginning, that another machine serves."""

CONTAINER = ("overlay", "aufs")


def _place(name: str) -> str:
    return name.split(".")[1]


def _hung(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "disk.", ".state") if f.value == "hung"]
    return line("; ".join(f.evidence for f in told)) or None


def _unreadable(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "disk.", ".state") if f.value == "unreadable"]
    return line("; ".join(f.evidence for f in told)) or None


def _locked(readings: Readings) -> dict[str, str]:
    """By place: what was said of a folder in which nothing can be written."""
    told = [f for f in facts(readings, "disk.", ".writable") if f.value is False and _place(f.name) != "shm"]
    return {_place(f.name): f.evidence for f in told}


def _cannot_run(readings: Readings) -> str | None:
    """What is needed to run cannot be written; a HOME above it that cannot be written either is the cause."""
    locked = _locked(readings)
    needed = [place for place in locked if place in NEEDED_TO_RUN]
    homes = ["home"] if any(_below_home(readings, place) for place in needed) and "home" in locked else []
    return line("; ".join(locked[place] for place in homes + needed)) or None


def _cannot_keep(readings: Readings) -> str | None:
    """The same of what is only kept, where it has not the cause of what is needed to run."""
    locked = _locked(readings)
    told = "home" in locked and any(_below_home(readings, place) for place in locked if place in NEEDED_TO_RUN)
    same = {place for place in locked if told and (place == "home" or _below_home(readings, place))}
    return line("; ".join(words for place, words in locked.items() if place not in {*NEEDED_TO_RUN, *same})) or None


def _below_home(readings: Readings, place: str) -> bool:
    home, there = (figure(readings, "disk_free", place=name) for name in ("home", place))
    return home is not None and there is not None and _path(there).startswith(_path(home).rstrip("/") + "/")


def _full(readings: Readings) -> str | None:
    words = []
    for place, least in LEAST_FREE.items():
        free = figure(readings, "disk_free", place=place)
        if free is not None and free.value < least and is_true(readings, f"disk.{place}.writable") is not False:
            words.append(f"{_path(free)} ({place}) has {quantity(free.value, 'B')} free (limit {quantity(least, 'B')})")
    return line("; ".join(words)) or None


def _path(found: Figure) -> str:
    return found.labels.get("path", "?")


def _no_inodes(readings: Readings) -> str | None:
    told = [f for f in readings.figures if f.name == "disk_free_inodes" and f.labels.get("place") in LEAST_FREE]
    few = [f for f in told if f.value < LEAST_INODES and is_true(readings, f"disk.{f.labels['place']}.writable")]
    return line("; ".join(f"{_path(f)} has room for {f.value:.0f} files (limit {LEAST_INODES})" for f in few)) or None


def _noexec(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "disk.", ".noexec") if f.value is True and _place(f.name) in CODE]
    return line("; ".join(f"noexec in the {f.evidence}" for f in told)) or None


def _on_network(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "disk.", ".kind") if str(f.value).startswith(NETWORK) and _place(f.name) in CODE]
    return line("; ".join(f"{f.evidence} is on {f.value}" for f in told)) or None


def _forgotten(readings: Readings) -> str | None:
    keep = ("torch_home", "hf_home")
    told = [f for f in facts(readings, "disk.", ".kind") if f.value in CONTAINER and _place(f.name) in keep]
    return line("; ".join(f"{f.evidence} is on {f.value}" for f in told)) or None


RULES: tuple[Rule, ...] = (
    *cpu_rules.RULES,
    Rule("TD-SYS-020", _DISK, Verdict.FAIL, Severity.CRITICAL, _hung),
    Rule("TD-SYS-021", _DISK, Verdict.UNSURE, Severity.WARNING, _unreadable),
    Rule("TD-SYS-022", _DISK, Verdict.FAIL, Severity.CRITICAL, _cannot_run),
    Rule("TD-SYS-023", _DISK, Verdict.DEGRADED, Severity.WARNING, _cannot_keep),
    Rule("TD-SYS-024", _DISK, Verdict.DEGRADED, Severity.WARNING, _full),
    Rule("TD-SYS-025", _DISK, Verdict.DEGRADED, Severity.WARNING, _no_inodes),
    Rule("TD-SYS-026", _DISK, Verdict.FAIL, Severity.CRITICAL, _noexec),
    Rule("TD-SYS-027", _DISK, None, Severity.INFO, _on_network),
    Rule("TD-SYS-028", _DISK, None, Severity.INFO, _forgotten),
)


def _looked_at(readings: Readings) -> str | None:
    """Every folder was read, and the one with the least room is named."""
    states = facts(readings, "disk.", ".state")
    free = [f for f in readings.figures if f.name == "disk_free" and f.labels.get("place") in LEAST_FREE]
    if not states or not free or any(f.value != "read" for f in states):
        return None
    least = min(free, key=lambda f: f.value)
    return f"{len(states)} folders looked at; the least room is {quantity(least.value, 'B')} at {_path(least)}"


POSITIVE: Positive = {**cpu_rules.POSITIVE, "system.disk": _looked_at}

EXPECTED: Expected = {}
