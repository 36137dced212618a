"""Which NVIDIA GPUs the kernel shows, whether a driver answers or not. Reads /sys and /dev only."""

from __future__ import annotations

import re
from pathlib import Path

NVIDIA = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
"""VGA and 3D controllers (PCI class codes); an NVSwitch is a bridge and does not count."""


def pci_gpus(root: Path = Path("/sys/bus/pci/devices")) -> tuple[str, ...]:
    """Bus ids of the NVIDIA GPUs on the PCI bus."""
    found = []
    for device in _entries(root):
        vendor, kind = _read(device / "vendor"), _read(device / "class")
        if vendor == NVIDIA and kind.startswith(DISPLAY_CLASSES):
            found.append(device.name)
    return tuple(sorted(found))


def device_nodes(root: Path = Path("/dev")) -> tuple[str, ...]:
    """The device files of GPUs, `/dev/nvidia0` and so on."""
    return tuple(sorted(str(p) for p in _entries(root) if re.fullmatch(r"nvidia\d+", p.name)))


def count() -> int:
    """NVIDIA GPUs that this node has by its PCI bus, or by its device files where a container hides the bus."""
    return max(len(pci_gpus()), len(device_nodes()))


def _entries(root: Path) -> list[Path]:
    try:
        return list(root.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
