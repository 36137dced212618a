"""Readings of `compile.*` and `cudagraph.*` as real runs gave them, to be changed one thing at a time."""

from __future__ import annotations

from typing import Any

from torchprobes.catalogue import PROBES, Probe
from torchprobes.model import Fact, Figure, Outcome, Readings

ROWS: dict[str, Probe] = {probe.name: probe for probe in PROBES}

Numbers = dict[str, float | None]
Facts = dict[str, Any]

CPU_FACTS: Facts = {
    "config.suppress_errors": False,
    "config.disable": False,
    "stance": "default",
    "config.fx_graph_cache": True,
    "toolchain.cxx": "/usr/bin/g++",
    "toolchain.python_h": True,
    "cache_state": "cold",
    "cache.noexec": False,
    "reference.identity": False,
    "reference.finite": True,
    "toy.identity": False,
    "toy.finite": True,
    "warm.cache_hits": 2,
    "warm.cache_misses": 0,
    "warm.cache_bypassed": 0,
}

CPU_NUMBERS: Numbers = {
    "reference compiled_calls_per_step": 1,
    "reference graphs": 1,
    "reference graph_breaks": 0,
    "reference generated_kernels": 14,
    "reference error_eager_64": 6.7e-8,
    "reference error_compiled_64": 7.3e-8,
    "reference eager_us": 20104,
    "reference compiled_us": 4033,
    "reference speedup": 4.98,
    "reference speedup_low": 4.84,
    "reference speedup_high": 5.83,
    "reference first_call_s cache=cold": 9.9,
    "reference first_call_s cache=warm": 1.5,
    "toy error_eager_64": 9.0e-8,
    "toy error_compiled_64": 9.0e-8,
    "toy eager_us": 41.9,
    "toy compiled_us": 114.9,
    "toy speedup": 0.37,
    "toy speedup_low": 0.35,
    "toy speedup_high": 0.37,
}

GPU_FACTS: Facts = CPU_FACTS | {"gpu.name": "NVIDIA H200", "gpu.big": True, "toolchain.triton": "3.6.0"}

GPU_NUMBERS: Numbers = CPU_NUMBERS | {
    "reference graph_launches side=compiled": 1,
    "reference kernel_launches side=compiled": 1,
    "toy device_busy_share side=eager": 0.16,
}

REPLAY_FACTS: Facts = {"replay.finite": True, "gpu.name": "NVIDIA H200"}

REPLAY_NUMBERS: Numbers = {
    "reference error_eager_64": 1.1e-6,
    "reference error_compiled_64": 1.1e-6,
    "reference eager_us": 836,
    "reference replay_us": 181,
    "reference speedup": 4.61,
    "reference speedup_low": 4.58,
    "reference speedup_high": 4.65,
    "reference graph_launches side=replay": 1,
    "graphed_callable_difference": 2e-6,
}


def _figure(key: str, value: float) -> Figure:
    model = key.split()[0] if key.split()[0] in ("reference", "toy") else None
    name, *labels = key.split()[1:] if model else key.split()
    pairs = dict(label.split("=") for label in labels)
    return Figure(name=name, value=value, unit="", labels=pairs | ({"model": model} if model else {}))


def readings(probe: str, device: str, facts: Facts, numbers: Numbers, outcome: Outcome | None = None) -> Readings:
    """Readings with these facts and figures; a figure of None and a fact of ... are absent."""
    told = ((name, value if isinstance(value, tuple) else (value, "")) for name, value in facts.items())
    return Readings(
        probe=probe,
        device=device,
        facts=tuple(Fact(name=name, value=v, evidence=e) for name, (v, e) in told if v is not ...),
        figures=tuple(_figure(key, value) for key, value in numbers.items() if value is not None),
        outcome=outcome or Outcome(ending="ended"),
    )


def healthy(probe: str, device: str, facts: Facts | None = None, numbers: Numbers | None = None) -> Readings:
    """What a sound machine says, with `facts` and `numbers` over it."""
    if probe.startswith("cudagraph"):
        base: tuple[Facts, Numbers] = (REPLAY_FACTS, REPLAY_NUMBERS)
    else:
        base = (CPU_FACTS, CPU_NUMBERS) if device == "cpu" else (GPU_FACTS, GPU_NUMBERS)
    return readings(probe, device, base[0] | (facts or {}), base[1] | (numbers or {}))


def ran_eager(device: str, facts: Facts, more: Numbers | None = None) -> Readings:
    """What `compile.default` says when no compiled code was entered: it stops after counting."""
    known = {name: value for name, value in CPU_FACTS.items() if not name.startswith(("toy.", "warm."))}
    numbers: Numbers = {"reference compiled_calls_per_step": 0, "reference graphs": 0, "reference graph_breaks": 0}
    numbers |= {"reference frames": 0} | (more or {})
    return readings("compile.default", device, known | {"reference.finite": ...} | facts, numbers)
