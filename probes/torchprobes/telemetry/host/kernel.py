"""How this node's kernel is set up: modules, NVSwitches, IOMMU, governor, clock source."""

from __future__ import annotations

import os
from typing import Final

from ...cells import Absent, Cell, CellState
from .files import MAX_WORDS, Cells, Roots, absent, cell, entries, names, text, words

DENIED: Final = {
    "nouveau": "nouveau", "nvidiafb": "nvidiafb", "rivafb": "rivafb", "nova_core": "nova_core", "NovaCore": "nova_core",
}  # fmt: skip
"""Module or PCI driver -> its name. They claim NVIDIA GPUs and keep its driver away: nouveau is DCGM's denylist
(nvvs, Software.cpp), the frame buffers and nova are those that NVIDIA's installer objects to."""

PEERMEM: Final = frozenset({"nvidia_peermem", "nv_peer_mem"})
"""GPUDirect RDMA: the module of today, and Mellanox's before R470."""

NVIDIA: Final = "0x10de"
BRIDGE: Final = "0x0680"
"""PCI class of an NVSwitch."""


def modules(roots: Roots) -> Cells:
    """Denied drivers that are there, and GPUDirect RDMA. A driver that is built in shows only on the PCI bus."""
    drivers = names(f"{roots.sys}/bus/pci/drivers")
    try:
        loaded = [line.partition(" ")[0] for line in text(f"{roots.proc}/modules", 1 << 18).splitlines()]
    except OSError as error:
        return {"denied_modules": _denied(drivers) if drivers else absent(error), "peermem_loaded": absent(error)}
    return {"denied_modules": _denied([*loaded, *drivers]), "peermem_loaded": int(not PEERMEM.isdisjoint(loaded))}


def _denied(found: list[str]) -> str:
    return ", ".join(sorted({DENIED[name] for name in found if name in DENIED}))


def bus(roots: Roots) -> Cells:
    """NVSwitches, and what the IOMMU does to the GPUs' transfers."""
    devices = f"{roots.sys}/bus/pci/devices"
    ours = [device for device in names(devices) if _word(f"{devices}/{device}/vendor") == NVIDIA]
    bridges = sum(_word(f"{devices}/{device}/class").startswith(BRIDGE) for device in ours)
    driven = len(names(f"{roots.proc}/driver/nvidia-nvswitch/devices"))
    switches: Cell = max(bridges, driven)
    if not switches and not os.path.isdir(devices):
        switches = Absent(state=CellState.NOT_SUPPORTED, why=f"there is no {devices}")
    behind = [f"{devices}/{device}/iommu_group" for device in ours or names(devices)]
    return {"nvswitches": switches, "iommu": cell(lambda: _iommu(roots, behind))}


def _iommu(roots: Roots, groups: list[str]) -> Cell:
    """Off, passthrough or translating, as the devices' own groups say it (ABI/testing/sysfs-kernel-iommu_groups).

    Translating sends what GPUs tell each other through the CPU's root complex: slow, or hung (NCCL, troubleshooting).
    """
    if not entries(f"{roots.sys}/class/iommu"):
        return "off"
    kinds = {_word(f"{group}/type") for group in groups} - {""}
    if not kinds:
        return "off"
    return "passthrough" if kinds == {"identity"} else "translating"


def clocks(roots: Roots) -> Cells:
    """Each governor that is in use on some core, and the clock source."""
    source = f"{roots.sys}/devices/system/clocksource/clocksource0/current_clocksource"
    return {"cpu_governor": cell(lambda: _governors(roots)), "clocksource": cell(lambda: words(source))}


def _governors(roots: Roots) -> Cell:
    folder = f"{roots.sys}/devices/system/cpu/cpufreq"
    policies = [name for name in names(folder) if name.startswith("policy")]
    found = {words(f"{folder}/{policy}/scaling_governor") for policy in policies}
    if not found:
        why = "the cores' frequency is not in the kernel's hands: a virtual machine, or left to the firmware"
        return Absent(state=CellState.NOT_SUPPORTED, why=why)
    return ", ".join(sorted(found))[:MAX_WORDS]


def _word(path: str) -> str:
    """The text of a file, "" if it cannot be read."""
    try:
        return words(path)
    except OSError:
        return ""
