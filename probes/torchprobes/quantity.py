"""A number with its unit, as a person reads it: one formatter for reasons, findings and screens."""

from __future__ import annotations

import math

_STEPS: dict[str, tuple[tuple[float, str], ...]] = {
    "us": ((1e6, "s"), (1e3, "ms"), (1.0, "µs"), (1e-3, "ns")),
    "ms": ((1e3, "s"), (1.0, "ms"), (1e-3, "µs")),
    "s": ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "B": ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
    "B/s": ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")),
    "FLOP/s": ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s")),
    "OP/s": ((1e12, "TOP/s"), (1e9, "GOP/s"), (1e6, "MOP/s")),
    "x": ((1.0, "×"),),
    "share": ((0.01, "%"),),
    "percent": ((1.0, "%"),),
}
"""By base unit: the steps in which it is read, largest first. Memory counts in 1024s, rates in 1000s, as sold."""

_ONE = {
    "calls": "call", "launches": "launch", "graphs": "graph", "kernels": "kernel", "breaks": "break", "ranks": "rank",
    "recompiles": "recompile", "steps": "step", "regions": "region", "workers": "worker", "cores": "core",
    "bytes": "byte", "threads": "thread", "requests": "request", "ops": "op",
    "captures": "capture", "convolutions": "convolution", "processes": "process", "files": "file", "probes": "probe",
    "packages": "package", "libraries": "library", "variables": "variable", "requirements": "requirement",
    "modules": "module",
}  # fmt: skip


def quantity(value: float, unit: str = "", digits: int = 3) -> str:
    """`value` with `unit`, scaled to read well, in `digits` significant ones: `180 ms`, `1 call`, `4.3 TB/s`.

    Units are those of figures: us, ms, s, B, B/s, FLOP/s, OP/s (of whole numbers), x (a ratio), share (0 to 1, shown
    in %), or a counted noun in the plural, which 1 makes singular. What is no number is told as it is.
    """
    if not math.isfinite(value):
        return f"{value} {unit}".strip()
    steps = _STEPS.get(unit)
    if steps is None:
        return f"{_number(value, digits)} {_ONE.get(unit, unit) if value == 1 else unit}".strip()
    size, name = next((s for s in steps if max(abs(value), _rounded(abs(value), digits)) >= s[0]), steps[-1])
    if value == 0:
        size, name = next((s for s in steps if s[0] == 1.0), steps[-1])
    text = _number(value / size, digits)
    return f"{text}{name}" if name == "×" else f"{text} {name}"


def _rounded(value: float, digits: int) -> float:
    # 999.9 us is 1,000 us at three digits, and reads as 1 ms.
    return value if value == 0 else round(value, digits - 1 - math.floor(math.log10(value)))


def _number(value: float, digits: int) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    rounded = _rounded(abs(value), digits)
    places = max(0, digits - 1 - math.floor(math.log10(rounded)))
    if places > 9:
        return f"{value:.{digits - 1}e}"
    text = f"{math.copysign(rounded, value):,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
