"""The vendors' libraries that this machine has use for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..readings import Vendor
from .nvidia.vendor import Nvidia

AMD: Final = "0x1002"
INTEL: Final = "0x8086"


def present(root: Path = Path("/")) -> tuple[Vendor, ...]:
    """NVIDIA always, so that its absence can be told; the others where the kernel shows a GPU of theirs."""
    there = drm_vendors(root)
    vendors: list[Vendor] = [Nvidia()]
    if AMD in there:
        from .amd import Amd

        vendors.append(Amd())
    if INTEL in there:
        from .intel import Intel

        vendors.append(Intel())
    return tuple(vendors)


def drm_vendors(root: Path = Path("/")) -> frozenset[str]:
    """PCI vendor ids of the devices that the kernel's graphics drivers serve."""
    try:
        devices = [entry / "device" / "vendor" for entry in (root / "sys/class/drm").iterdir()]
    except OSError:
        return frozenset()
    return frozenset(_line(path) for path in devices)


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
