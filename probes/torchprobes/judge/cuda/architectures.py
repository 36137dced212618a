"""Does device code of one architecture run on a device of one compute capability? Pure rules over NVIDIA's names.

Rules: https://docs.nvidia.com/cuda/cuda-programming-guide/ (compute capabilities, binary and PTX compatibility). What
does not hold between discrete and integrated devices is taken from `DEVICE_REQUIREMENT` in torch/cuda/__init__.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Match = Literal["exact", "compatible", "ptx", "no"]
"""Machine code for this very device, for an older one of its major version, PTX that the driver compiles, nothing."""

Capability = tuple[int, int]

BEST_FIRST: tuple[Match, ...] = ("exact", "compatible", "ptx", "no")

_NAME = re.compile(r"(sm|compute)_(\d{1,2})(\d)([af]?)")

_INTEGRATED = frozenset({(5, 3), (6, 2), (7, 2), (8, 7), (10, 1), (11, 0)})
"""Jetson and other integrated devices: machine code crosses neither way between them and discrete ones ..."""

_UNIFIED = frozenset({(7, 2), (8, 7)})
"""... but to these from CUDA 13.2 on."""

_RENAMED = {(10, 1): (11, 0)}
"""CUDA 13 gave Thor a new number: code of both names is the same."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture that code was compiled for: `sm_90a` is ("sm", (9, 0), "a").

    Suffix `a`: this capability alone, PTX too. Suffix `f`: its family, which is the later minor versions of its
    major, PTX too.
    """

    kind: Literal["sm", "compute"]
    capability: Capability
    suffix: Literal["", "a", "f"] = ""


def parse(arch: str) -> Architecture | None:
    """The architecture that a name tells, None for one that is not NVIDIA's (`gfx942`) or no name at all."""
    found = _NAME.fullmatch(arch.strip())
    if found is None:
        return None
    kind, major, minor, suffix = found.groups()
    return Architecture(kind, (int(major), int(minor)), suffix)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def runs_on(arch: str, capability: Capability, cuda: Capability = (0, 0)) -> Match:
    """How code of `arch` runs on a device of `capability`; "no" for a name that is not an NVIDIA architecture.

    `cuda` is the CUDA version that the code was built with, if it is known: from 13.2 on the code of discrete devices
    runs on Jetson Orin too.
    """
    code = parse(arch)
    if code is None:
        return "no"
    made_for, device = (_RENAMED.get(c, c) for c in (code.capability, capability))
    if made_for == device:
        return "exact" if code.kind == "sm" else "ptx"
    if code.suffix == "a":
        return "no"
    if code.kind == "compute" and not code.suffix:
        return "ptx" if made_for <= device else "no"
    same = made_for[0] == device[0] and made_for[1] <= device[1] and not _walled(made_for, device, cuda)
    return ("compatible" if code.kind == "sm" else "ptx") if same else "no"


def _walled(made_for: Capability, device: Capability, cuda: Capability) -> bool:
    integrated = _INTEGRATED - _UNIFIED if cuda >= (13, 2) and made_for not in _INTEGRATED else _INTEGRATED
    return made_for in integrated or device in integrated


def best_of(archs: Iterable[str], capability: Capability, cuda: Capability = (0, 0)) -> Match | None:
    """The best match of a build's architectures for a device; None if they name no NVIDIA architecture at all."""
    found: list[Match] = [runs_on(arch, capability, cuda) for arch in archs if parse(arch) is not None]
    return next((match for match in BEST_FIRST if match in found), None)


def capability_of(text: str) -> Capability | None:
    """(9, 0) of "9.0"; None for anything else."""
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", text.strip())
    return (int(found[1]), int(found[2])) if found else None
