"""Figures of a comparison: which are the same one, what part of its device's own peak each is, and what is noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

from ...judge.compute import peaks
from ...model import Expectation, Figure, Result
from .model import Said

Direction = Literal["higher", "lower", "neither"]
"""What is better in a figure."""

Likeness = Literal["gpu", "cpu", "unlike"]
"""Of the devices of two figures: both the same kind of GPU, both the same kind of CPU, or not the same."""

LEAST: Final = 0.03
"""Figures of like devices that differ by no more than this share are the same, however small their spreads are."""

LEAST_ON_CPU: Final = 0.20
"""The same where a CPU did the work: others share its caches and clocks, and no run's own spread shows that."""

STEADY: Final = 10
STEADY_LEAST: Final = 0.10
"""The least difference where no spread was recorded, of a figure of at least `STEADY` measurements ..."""

FEW_LEAST: Final = 0.5
"""... of one that was measured less often ..."""

ONCE_LEAST: Final = 1.0
"""... and of one that was measured once: it is the same within a factor of two. Two runs on one quiet machine had
`first_batch_s` and `import_s` up to 1.9 times apart."""

UNLIKE_LEAST: Final = 0.30
"""The same for shares of the peaks of unlike devices: sound parts reach 51 to 87 % of theirs (judge.compute.peaks)."""

ERRORS_LEAST: Final = 2.0
"""Rounding errors are the same within a factor of three: they are of one number format or of another."""

FURTHEST: Final = 1e6
"""The ratio that stands for one to nothing."""

_DIRECTIONS: Final[dict[str, Direction]] = {
    "B/s": "higher", "FLOP/s": "higher", "OP/s": "higher", "x": "higher",
    "us": "lower", "ms": "lower", "s": "lower", "relative": "lower", "levels": "lower",
}  # fmt: skip
"""By unit. What is no rate, no time and no error is better in neither direction, unless `_NAMED` knows it."""

_NAMED: Final[tuple[tuple[str, Direction], ...]] = (
    ("*graph_breaks", "lower"), ("recompiles", "lower"), ("*wrong*", "lower"), ("workers_left", "lower"),
    ("compiled_share", "higher"), ("init_share_low", "higher"), ("throttled_share", "lower"),
    ("break_even_calls", "lower"), ("peak_memory_bytes", "lower"), ("sdpa_peak", "lower"),
    ("memory_fluctuation", "lower"), ("out_of_memory", "lower"), ("nvlinks", "higher"), ("init_ok", "higher"),
    ("allowed_cores", "higher"), ("*cache_bypass*", "lower"), ("eager_calls", "lower"),
)  # fmt: skip

ANYWHERE: Final = ("*graph_breaks", "*wrong*", "workers_left", "init_ok", "compiled_share")
"""Figures that mean the same on any device, and are compared between unlike ones too."""

STATE: Final = (
    "sm_clock*", "memory_clock*", "temperature", "power", "power_limit*", "pcie_*", "gpu_memory", "memory_peak_told",
)  # fmt: skip
"""Under what the others were measured: evidence for causes, and no result."""

QUIET: Final = (
    *STATE,
    "*_low", "*_high", "*_std_us", "*_std_s", "*_max_us", "*_max_s", "*_min_us", "*_p95_us", "*_p99_us", "init_first_s",
    "arrival_skew_us", "*_seen_us", "*_host_us", "*_queued*", "*_waited_s", "*_queue_s", "io_wait_s",
    "break_even_calls", "disk_*", "free_*", "cache_bytes", "csv_memory", "budget", "reserved", "allocated", "unused",
    "pieces", "import_[!s]*", "library_forwards",
    "jobs_with_torch", "running_kernels", "kernelspecs", "requests", "reading_s", "debug_*",
    "python_start*", "loss_*", "workers_gone_s", "killed_told_s", "device_busy_*", "variables_*", "distributions",
    "shm_needed",
)  # fmt: skip
"""Figures that differ without meaning anything by it: ends of intervals and what is derived from others, room on a
disk, what others run just now."""

SETTLED: Final = (
    "power_*limit_w", "*_clock_max_mhz", "application_*", "memory_total_bytes", "pcie_width", "pcie_*_max", "nvlinks*",
    "ecc_uncorrected_*", "dram_uncorrected_*", "sram_uncorrected_*", "remapped_*", "retired_*", "*_crc_errors",
    "*_replay_errors", "*_recovery_errors", "pcie_replays", "nvswitches", "fabric_manager", "persistence_daemon",
    "shm_total_bytes", "*_limit", "memlock_limit_bytes", "zombies", "uninterruptible",
)  # fmt: skip
"""Figures of a sample that stay as they are while jobs come and go: a difference in any other is one of load."""

UNTOLD: Final = (
    "uptime_s", "tasks*", "files_*", "load_*", "*_used_bytes", "*_bytes_per_s", "utilization_percent", "cpu_percent",
    "memory_utilization_percent", "*coder_percent", "disk_*", "age_*", "processes*",
)  # fmt: skip
"""Figures of a sample in which no node is an outlier: it has another job than its neighbours."""

_SIZED: Final = frozenset({"", "us", "ms", "s", "B", "B/s", "FLOP/s", "OP/s", "x", "share", "percent", "relative",
                           "levels", "W", "MHz", "C", "loss"})  # fmt: skip
"""Units of what is measured; all others are counted, and counts have no noise."""

_CIRCUMSTANCES: Final = frozenset({"threads", "fewer", "path"})
"""Labels that say how it was on that machine, and not which figure it is."""


@lru_cache(maxsize=4096)
def _key(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    told = [f"{key}={value}" for key, value in sorted(labels) if key not in _CIRCUMSTANCES
            and not (key == "bytes" and name.startswith("copy_"))]  # fmt: skip
    return " ".join([name, *told])


def key_of(figure: Figure) -> str:
    """Name and labels of a figure; the same for the same figure of any machine."""
    return _key(figure.name, tuple(figure.labels.items()))


@lru_cache(maxsize=4096)
def direction(key: str, unit: str) -> Direction:
    """What is better in the figure of that key."""
    name = key.partition(" ")[0]
    for pattern, better in _NAMED:
        if fnmatchcase(name, pattern):
            return better
    return _DIRECTIONS.get(unit, "neither")


@lru_cache(maxsize=4096)
def quiet(key: str) -> bool:
    """Whether a difference in it says nothing by itself."""
    return _named(key, QUIET)


@lru_cache(maxsize=4096)
def unsettled(key: str) -> bool:
    """Whether it is a figure of a sample that comes and goes with jobs."""
    return not _named(key, SETTLED)


@lru_cache(maxsize=4096)
def untold(key: str) -> bool:
    """Whether it is a figure of a sample in which a node cannot be an outlier."""
    return _named(key, UNTOLD)


@lru_cache(maxsize=4096)
def is_state(key: str) -> bool:
    """Whether it says under what the others were measured."""
    return _named(key, STATE)


@lru_cache(maxsize=4096)
def anywhere(key: str) -> bool:
    """Whether it means the same on any device."""
    return _named(key, ANYWHERE)


def _named(key: str, patterns: tuple[str, ...]) -> bool:
    name = key.partition(" ")[0]
    return any(fnmatchcase(name, pattern) for pattern in patterns)


# --- shares ------------------------------------------------------------------------------------------------------


def said(result: Result, device: str) -> tuple[Said, ...]:
    """The figures of a result, the last of each key, in its order. `device` is the name of the device it ran on."""
    return tuple({key: _said(figure, key, result, device)
                  for figure in result.figures for key in (key_of(figure),)}.values())  # fmt: skip


def _said(figure: Figure, key: str, result: Result, device: str) -> Said:
    share, of = _share(figure, result.expectations, device) if figure.unit in _RATES else (None, "")
    return Said(key, figure.value, figure.unit, figure.n, figure.spread, share, of)


_RATES: Final = ("FLOP/s", "OP/s", "B/s")


def _share(figure: Figure, expectations: tuple[Expectation, ...], device: str) -> tuple[float | None, str]:
    """Its share of the device's own peak; where no peak is known, of what it was expected to be.

    The peak comes first: expectations rest on shares that were measured on some parts and guessed for others.
    """
    rate = _peak(device, _peak_kind(figure))
    if rate is not None:
        return figure.value / rate[0], rate[1]
    expected = next((e for e in expectations if _belongs(e, figure)), None)
    if expected is None or not expected.value or expected.unit != figure.unit:
        return None, ""
    return figure.value / expected.value, "what is expected"


def _peak_kind(figure: Figure) -> str:
    if figure.name in ("gemm_rate", "gemm_best_rate"):
        return figure.labels.get("dtype", "")
    if figure.name in ("copy_rate", "copy_best_rate") and figure.labels.get("kind") == "device":
        return "memory"
    return ""


@lru_cache(maxsize=1024)
def _peak(device: str, kind: str) -> tuple[float, str] | None:
    part = peaks.part(device) if kind else None
    rate = part.peak.get(kind) if part else None
    if part is None or rate is None or rate.recalled or not rate.value:  # a recalled peak judges nothing
        return None
    return rate.value, f"{part.name}'s peak"


def _belongs(expectation: Expectation, figure: Figure) -> bool:
    return expectation.name == figure.name and _within(expectation.labels, figure.labels)


def _within(some: Mapping[str, str], all_: Mapping[str, str]) -> bool:
    return all(all_.get(key) == value for key, value in some.items())


# --- differences -------------------------------------------------------------------------------------------------


def likeness(device: str, other: str) -> Likeness:
    """Of two devices by their names (`platforms.device_of`)."""
    if device != other or not device:
        return "unlike"
    return "cpu" if device.startswith("cpu ") else "gpu"


def tolerance(one: Said, other: Said, like: Likeness) -> float:
    """The share by which two values may differ and still be the same: 0 for counts.

    max(3 %, twice the joint spread) where both spreads were recorded (each is the half-width of a 95 % interval).
    """
    if like == "unlike" and not anywhere(one.key):
        return UNLIKE_LEAST
    if one.unit not in _SIZED:
        return 0.0
    if one.unit in ("relative", "levels"):
        return ERRORS_LEAST
    if not unsettled(one.key):
        return LEAST  # a setting has no noise, only digits
    least = LEAST_ON_CPU if like == "cpu" else LEAST
    if one.spread is None or other.spread is None:
        least = max(least, _unmeasured(min(one.n, other.n)))
    if not one.value:
        return least
    return max(least, 2 * math.hypot(one.spread or 0.0, other.spread or 0.0) / abs(one.value))


def is_steady(said: Said) -> bool:
    """Whether it was measured often enough to weigh: with a spread, or many times; counts are."""
    return said.spread is not None or said.n >= STEADY or said.unit not in _SIZED


def _unmeasured(n: int) -> float:
    return STEADY_LEAST if n >= STEADY else FEW_LEAST if n > 1 else ONCE_LEAST


def ratio(one: Said, other: Said, like: Likeness) -> float | None:
    """`other` by `one`: of values where devices are like, else of shares; None where nothing can be compared."""
    if one.unit != other.unit:
        return None
    if like != "unlike" or anywhere(one.key):
        return _over(other.value, one.value)
    if one.share is None or other.share is None:
        return None
    return _over(other.share, one.share)


def _over(value: float, base: float) -> float | None:
    """`inf` from nothing or of another sign, 0 to nothing; None where one of them is no number."""
    if value == base:
        return 1.0
    if not math.isfinite(value) or not math.isfinite(base):
        return None
    return value / base if base and value / base >= 0 else math.inf


def differs(one: Said, other: Said, like: Likeness) -> float | None:
    """The ratio of two figures where it is more than noise, else None. `inf`: from nothing, or of another sign."""
    found = ratio(one, other, like)
    if found is None or found == 1.0:
        return None
    apart = found if found >= 1 else (1 / found if found > 0 else math.inf)
    return found if apart > 1 + tolerance(one, other, like) else None


CACHED: Final = (_key, direction, quiet, unsettled, untold, is_state, anywhere, _peak)
