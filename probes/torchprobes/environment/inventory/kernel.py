"""The kernel, how it was started, its settings, and the modules that a GPU or its network needs."""

from __future__ import annotations

import re

from .reading import Told, names, text, word
from .sysctls import SYSCTLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_PARAMETERS = 96

_MODULES = re.compile(
    r"nvidia\w*|nv_peer_mem|gdrdrv|nouveau|amdgpu|amdkfd|i915|xe|habanalabs|mlx[45]_\w+|ib_\w+|rdma_\w+|iw_cm|bnxt_re"
    r"|irdma|efa|xpmem|knem|lustre|beegfs|mmfs26|nvme_tcp|nvme_rdma|vfio_pci|kvm\w*|overlay|fuse"
)
"""Modules of GPUs, of what lets network cards reach their memory, and of the file systems that data comes from."""

_WITH_PARAMETERS = re.compile(r"nvidia\w*|nv_peer_mem|gdrdrv|mlx5_core|ib_core|amdgpu")
_OPEN = "Open Kernel Module"
_OF_THIS_BOOT = frozenset({"BOOT_IMAGE", "initrd", "root", "resume", "rootflags", "rootfstype"})
"""Parameters that say where this system lies, and nothing of how it runs."""


def sysctls(root: str = "") -> Any:
    """The settings of the table, in their own units."""
    told = Told()
    for name in SYSCTLS:
        path = f"{root}/proc/sys/{name.replace('.', '/')}"
        told.take(name, lambda path=path: text(path, 4096))  # type: ignore[misc]
    return told.answer()


def kernel(root: str = "") -> Any:
    """Its release and build, huge pages, clock source, and each parameter that it was started with."""
    told = Told()
    told.take("release", lambda: text(f"{root}/proc/sys/kernel/osrelease"))
    told.take("version", lambda: text(f"{root}/proc/sys/kernel/version"))
    told.take("clocksource", lambda: text(f"{root}/sys/devices/system/clocksource/clocksource0/current_clocksource"))
    told.put("iommu units", len(names(f"{root}/sys/class/iommu")))
    told.take("lockdown", lambda: _chosen(text(f"{root}/sys/kernel/security/lockdown")))
    _parameters(told, root)
    return told.answer()


def _chosen(line: str) -> str:
    """The one in brackets, as sysfs marks what is chosen of several."""
    found = re.search(r"\[([\w+-]{1,64})\]", line)
    return found[1] if found else line


def _parameters(told: Told, root: str) -> None:
    """`cmdline NAME` -> its value, "set" without one; of a name that stands there twice, all values in order."""
    try:
        line = text(f"{root}/proc/cmdline", 16 << 10)
    except OSError:
        told.take("cmdline", lambda: text(f"{root}/proc/cmdline"))
        return
    found: dict[str, list[str]] = {}
    for each in line.partition(" -- ")[0].split():  # what follows is the first program's
        name, equals, value = each.partition("=")
        if name not in _OF_THIS_BOOT:
            found.setdefault(name, []).append(value if equals else "set")
    for name, values in found.items():
        told.put(f"cmdline {name}", " ".join(values))


def modules(root: str = "") -> Any:
    """Those of the table that are loaded: version, or that of their source, and the parameters of the drivers."""
    told = Told()
    loaded = _loaded(f"{root}/proc/modules")
    built_in = {name for name in names(f"{root}/sys/module") if name not in loaded}
    for name in sorted(loaded | built_in):
        if not _MODULES.fullmatch(name):
            continue
        folder = f"{root}/sys/module/{name}"
        version = word(f"{folder}/version") or word(f"{folder}/srcversion")
        if name in loaded or version:
            told.put(name, version or "loaded")
        if _WITH_PARAMETERS.fullmatch(name):
            _module_parameters(told, name, f"{folder}/parameters")
    _nvidia(told, root)
    return told.answer()


def _loaded(path: str) -> set[str]:
    """What is loaded; of a kernel that takes no modules, none."""
    try:
        return {line.partition(" ")[0] for line in text(path).splitlines()}
    except FileNotFoundError:
        return set()


def _module_parameters(told: Told, module: str, folder: str) -> None:
    for name in names(folder)[:MOST_PARAMETERS]:
        told.take(f"{module}.{name}", lambda name=name: text(f"{folder}/{name}", 1024))  # type: ignore[misc]


def _nvidia(told: Told, root: str) -> None:
    """Which of NVIDIA's two kernel drivers it is, and the registry keys that it runs with (`NVreg_…`)."""
    version = word(f"{root}/proc/driver/nvidia/version")
    if version:
        told.put("nvidia flavour", "open" if _OPEN in version else "proprietary")
    try:
        rows = text(f"{root}/proc/driver/nvidia/params", 64 << 10).splitlines()
    except FileNotFoundError:
        return
    except OSError:
        told.take("nvidia params", lambda: text(f"{root}/proc/driver/nvidia/params"))
        return
    for row in rows[:256]:
        name, colon, value = row.partition(":")
        if colon and name.isidentifier():
            told.put(f"nvidia.{name}", value.strip() or '""')
