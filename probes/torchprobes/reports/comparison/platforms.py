"""Reports as the columns of a comparison: labels that tell them apart, and what they ran on in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import PurePath
from typing import Any, Final, Literal

from ...model import Report
from .. import inventory
from .model import Platform

WIDEST: Final = 40
"""Characters of a part of a label: a host name may be of any length."""

Part = Callable[[Report, str], str]


def platforms(reports: Sequence[tuple[str, Report]]) -> tuple[Platform, ...]:
    """Every (where, report) as a platform, in the order given. Labels are unique among them and short."""
    labels = _labels(reports)
    return tuple(_platform(where, report, label) for (where, report), label in zip(reports, labels, strict=True))


def _platform(where: str, report: Report, label: str) -> Platform:
    devices = _devices(report)
    return Platform(
        label=label,
        report=report,
        where=where,
        devices=devices,
        device=_in_words(devices, report),
        kind=_kind(report),
        inventory=inventory.of(report),
    )


def _kind(report: Report) -> Literal["check", "snapshot"]:
    return "snapshot" if report.tier == "snapshot" else "check"


# --- devices -----------------------------------------------------------------------------------------------------


UNKNOWN_GPU: Final = "GPU of unknown name"

_NAMING: Final = ("gpu.name", "ddp.gpu", "cudnn.device", "launch.device", "device.0.name", "gpu.0.name")
"""Facts in which torch names a device that the node's own sample does not know: XPUs, GPUs without NVML."""


def _devices(report: Report) -> tuple[str, ...]:
    known = tuple(_name(gpu.get("name")) for gpu in report.machine.gpus)
    return known or _devices_of_torch(report)


def _name(cell: Any) -> str:
    # A cell that could not be read is a table with the reason in it.
    return " ".join(cell.split()) if isinstance(cell, str) and cell.strip() else UNKNOWN_GPU


def _devices_of_torch(report: Report) -> tuple[str, ...]:
    seen = {r.device for r in report.results if r.device and not r.device.startswith("cpu")}
    if not seen:
        return ()
    facts = (f for r in report.results if r.device in seen for f in r.facts if f.name in _NAMING)
    told = next((f.value for f in facts if isinstance(f.value, str) and f.value not in ("", "cpu")), "")
    name = told or f"{min(seen).partition(':')[0].upper()} device"
    return (" ".join(str(name).split()),) * len(seen)


def _in_words(devices: tuple[str, ...], report: Report) -> str:
    if not devices:
        return f"CPU ({report.machine.cpu})" if report.machine.cpu else "CPU"
    counted = Counter(devices)
    return ", ".join(name if n == 1 else f"{n} x {name}" for name, n in counted.items())


def device_of(platform: Platform, device: str) -> str:
    """The name of the device that a result is about, by what the result calls it: "cuda:1", "cpu".

    Results about devices of one name are like; of a CPU its number of cores belongs to the name.
    """
    kind, _, index = device.partition(":")
    if kind in ("", "cpu") or not platform.devices:
        return f"cpu {platform.report.machine.cpu} {platform.report.machine.cores}"
    place = int(index) if index.isdigit() and len(index) < 6 else 0
    return platform.devices[place if place < len(platform.devices) else 0]


# --- labels ------------------------------------------------------------------------------------------------------


def _host(report: Report, where: str) -> str:
    return report.machine.host or PurePath(where).stem or "?"


def _short_host(report: Report, where: str) -> str:
    host = _host(report, where)
    first = host.partition(".")[0]
    return host if first.isdigit() else first or host  # an address is no name with a domain


def _torch(report: Report, _where: str) -> str:
    return f"torch {report.target.torch}" if report.target.torch else "no torch"


def _device(report: Report, _where: str) -> str:
    return _in_words(_devices(report), report)


def _day(report: Report, _where: str) -> str:
    return report.started[:10]


def _second(report: Report, _where: str) -> str:
    return report.started[:19].replace("T", " ").rstrip("Z")


def _file(_report: Report, where: str) -> str:
    return PurePath(where).stem if PurePath(where).stem != "report" else PurePath(where).parent.name


_PARTS: Final[tuple[Part, ...]] = (_short_host, _host, _torch, _device, _day, _second)
"""What a label is made of, by how much a person would like to read it."""

_MOST_PARTS: Final = 3


def _labels(reports: Sequence[tuple[str, Report]]) -> list[str]:
    """The first choice of parts, as few as will do, that is different for every report; else files, or numbers."""
    told = [[_cut(part(report, where)) for where, report in reports] for part in _PARTS]
    files = [_cut(_file(report, where)) for where, report in reports]
    for chosen in (*_choices(told), (files,)):
        labels = [" · ".join(dict.fromkeys(filter(None, parts))) for parts in zip(*chosen, strict=True)]
        if len(set(labels)) == len(labels) and all(labels):
            return labels
    return _numbered(told[0])


def _choices(told: list[list[str]]) -> Iterator[tuple[list[str], ...]]:
    for count in range(1, _MOST_PARTS + 1):
        yield from combinations(told, count)


def _numbered(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    taken = set(names)
    labels = []
    for name in names:
        label = name
        while seen[name] and label in taken:
            seen[name] += 1
            label = f"{name} #{seen[name]}"
        seen[name] = seen[name] or 1
        taken.add(label)
        labels.append(label)
    return labels


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
