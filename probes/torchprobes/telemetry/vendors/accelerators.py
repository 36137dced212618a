"""Accelerators that no library here reads, named from their device files, so that nobody takes the node for empty.

Reads names in /dev and ids in /sys; it opens no device. Where a device file's name does not say whose it is, the PCI
vendor id of the device behind it does.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...samples import Accelerator

MOST_ENTRIES: Final = 4096
"""A folder of device files with more than these is looked at in part."""

DRM: Final = "sys/class/drm/{}/device/vendor"
ACCEL: Final = "sys/class/accel/{}/device/vendor"
VFIO: Final = "sys/kernel/iommu_groups/{}/devices/*/vendor"


@dataclass(frozen=True, slots=True)
class Kind:
    """Device files of one kind: `name` in the folder `folder` of /dev, with this vendor id in the file `ids`."""

    vendor: str
    what: str
    folder: str
    name: str
    ids: str = ""
    vendor_id: str = ""


KINDS: Final = (
    Kind("Huawei", "Ascend NPU", "", r"davinci\d+"),
    Kind("Intel", "Habana Gaudi", "accel", r"accel\d+", ACCEL, "0x1da3"),
    Kind("Intel", "Habana Gaudi", "", r"hl\d+"),
    Kind("Intel", "NPU", "accel", r"accel\d+", ACCEL, "0x8086"),
    Kind("AMD", "NPU", "accel", r"accel\d+", ACCEL, "0x1022"),
    Kind("Qualcomm", "Cloud AI", "accel", r"accel\d+", ACCEL, "0x17cb"),
    Kind("Google", "TPU", "", r"accel\d+"),
    Kind("Google", "TPU", "vfio", r"\d+", VFIO, "0x1ae0"),
    Kind("AWS", "Neuron", "", r"neuron\d+"),
    Kind("Cambricon", "MLU", "", r"cambricon_dev\d+"),
    Kind("Moore Threads", "GPU", "dri", r"renderD\d+", DRM, "0x1ed5"),
    Kind("Moore Threads", "GPU", "", r"mtgpu\.?\d+|mthreads\d+"),
    Kind("Iluvatar", "GPU", "", r"iluvatar\d+|bi\d+"),
    Kind("Baidu", "Kunlun XPU", "", r"xpu\d+"),
    Kind("MetaX", "GPU", "", r"mxgpu\d+"),
    Kind("Enflame", "GCU", "", r"gcu\d+"),
    Kind("Biren", "GPU", "biren", r"card_\d+"),
    Kind("Tenstorrent", "NPU", "tenstorrent", r"\d+"),
    Kind("Graphcore", "IPU", "", r"ipu\d+"),
    Kind("Rebellions", "NPU", "", r"rbln\d+"),
    Kind("AMD", "GPU", "dri", r"renderD\d+", DRM, "0x1002"),
    Kind("Intel", "GPU", "dri", r"renderD\d+", DRM, "0x8086"),
    Kind("Hygon", "DCU", "dri", r"renderD\d+", DRM, "0x1d94"),
)
"""Names as the vendors' drivers and container runtimes give them, ids as in pci.ids. Of two kinds of one device the
first that is there counts."""


def found(read: Iterable[str] = (), root: Path = Path("/")) -> tuple[Accelerator, ...]:
    """The accelerators of this node, each kind once, but the GPUs of vendors that are read ("amd", "intel")."""
    told = {(vendor, "GPU") for vendor in read}
    listings: dict[str, list[str]] = {}
    rows: dict[tuple[str, str], Accelerator] = {}
    for kind in KINDS:
        key = (kind.vendor.lower(), kind.what)
        if key in told or key in rows:
            continue
        if kind.folder not in listings:
            listings[kind.folder] = _names(root / "dev" / kind.folder)
        nodes = [name for name in listings[kind.folder] if re.fullmatch(kind.name, name) and _is_of(kind, name, root)]
        if nodes:
            node = str(Path("/dev") / kind.folder / min(nodes, key=_natural))
            rows[key] = Accelerator(vendor=kind.vendor, what=kind.what, node=node, count=len(nodes))
    return tuple(rows.values())


def _natural(name: str) -> tuple[int, str]:
    return len(name), name


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in itertools.islice(entries, MOST_ENTRIES)]
    except OSError:
        return []


def _is_of(kind: Kind, name: str, root: Path) -> bool:
    """Whether the device behind it is of this vendor; a name that says so itself is believed."""
    if not kind.ids:
        return True
    return any(_id(path) == kind.vendor_id for path in itertools.islice(root.glob(kind.ids.format(name)), 16))


def _id(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(16).decode(errors="replace").strip().lower()
    except OSError:
        return ""
