"""The processors and how they are set up: model, microcode, governor, NUMA, threads of a core, huge pages."""

from __future__ import annotations

import re

from .reading import Told, names, text, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FEATURES = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "sve", "sve2", "bf16", "i8mm", "hypervisor",
)  # fmt: skip
"""Flags by which oneDNN, MKL, inductor's C++ and Arm's libraries choose their kernels; `hypervisor`: a machine that is
virtual."""

_CPUINFO = {"model": ("model name", "Model", "CPU part"), "microcode": ("microcode",), "stepping": ("stepping",)}
_SETTINGS = {
    "transparent huge pages": "/sys/kernel/mm/transparent_hugepage/enabled",
    "huge page defrag": "/sys/kernel/mm/transparent_hugepage/defrag",
    "threads per core": "/sys/devices/system/cpu/smt/control",
    "online": "/sys/devices/system/cpu/online",
    "isolated": "/sys/devices/system/cpu/isolated",
    "no turbo": "/sys/devices/system/cpu/intel_pstate/no_turbo",
    "boost": "/sys/devices/system/cpu/cpufreq/boost",
    "idle driver": "/sys/devices/system/cpu/cpuidle/current_driver",
    "intel_idle max cstate": "/sys/module/intel_idle/parameters/max_cstate",
}
_POLICY = {"governor": "scaling_governor", "frequency driver": "scaling_driver", "max frequency": "cpuinfo_max_freq",
           "frequency limit": "scaling_max_freq", "energy preference": "energy_performance_preference"}  # fmt: skip
MOST_POLICIES = 2048


def cpus(root: str = "") -> Any:
    """All of it, below a root."""
    told = Told()
    first = text(f"{root}/proc/cpuinfo", 64 << 10).split("\n\n", 1)[0]
    rows = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    for name, keys in _CPUINFO.items():
        told.put(name, next((rows[key] for key in keys if rows.get(key)), ""))
    flags = set((rows.get("flags") or rows.get("Features") or "").split())
    told.put("features", " ".join(feature for feature in FEATURES if feature in flags))
    for name, path in _SETTINGS.items():
        told.take(name, lambda path=path: _chosen(text(root + path, 4096)))  # type: ignore[misc]
    _policies(told, f"{root}/sys/devices/system/cpu/cpufreq")
    _nodes(told, f"{root}/sys/devices/system/node")
    return told.answer()


def _chosen(said: str) -> str:
    found = re.search(r"\[([\w+-]{1,64})\]", said)
    return found[1] if found else said


def _policies(told: Told, folder: str) -> None:
    """Each different setting of the cores' frequencies; nothing where a hypervisor or the firmware has them."""
    policies = [name for name in names(folder) if name.startswith("policy")][:MOST_POLICIES]
    for name, file in _POLICY.items():
        said = {word(f"{folder}/{policy}/{file}") for policy in policies} - {""}
        unit = " kHz" if file.endswith("freq") else ""
        told.put(name, ", ".join(f"{each}{unit}" for each in sorted(said)))


def _nodes(told: Told, folder: str) -> None:
    """How many NUMA nodes there are, and each one's cores."""
    nodes = [name for name in names(folder) if re.fullmatch(r"node\d{1,5}", name)]
    told.put("NUMA nodes", len(nodes) or "")
    for node in nodes:
        told.take(f"NUMA {node}", lambda node=node: f"cores {text(f'{folder}/{node}/cpulist', 4096)}")  # type: ignore[misc]
