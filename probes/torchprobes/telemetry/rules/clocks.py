"""Rules on clocks, power and temperature (reference: telemetry 2c)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...cells import THROTTLE_REASONS, number, throttle_words
from ...model import Scope, Severity
from ...samples import GpuSample, ProcessSample
from .base import OWN, Check, GpuRule, Limits, Look, On, Timed, bits, duration, over, text
from .fixes import COOLING, INSPECT, POWER, drained, look_at

POWER_CAP, HW_SLOWDOWN, SW_THERMAL, HW_THERMAL, POWER_BRAKE = 0x4, 0x8, 0x20, 0x40, 0x80
HARDWARE: Final = HW_SLOWDOWN | HW_THERMAL | POWER_BRAKE
SET_BY_SOMEBODY: Final = 0x2 | 0x10 | 0x100
"""Application clocks, sync boost, display clocks: set, or wanted by a setting; no fault."""

GRACE: Final = re.compile(r"\bGB[23]00\b")


def _has(reason: int) -> GpuRule:
    """A rule on one bit; never on equality, for the driver sets several at once (AzNHC compares the whole text)."""

    def when(gpu: GpuSample, _: Look) -> str | None:
        reasons = bits(gpu.throttle_reasons)
        return f"clocks event reasons {reasons:#x}" if reasons & reason else None

    return when


def _set_by_somebody(gpu: GpuSample, _: Look) -> str | None:
    found = bits(gpu.throttle_reasons) & SET_BY_SOMEBODY
    return f"{throttle_words(found)} ({bits(gpu.throttle_reasons):#x})" if found else None


def _unknown(gpu: GpuSample, _: Look) -> str | None:
    """Newer drivers know more bits, such as 0x200 (board limit) and 0x400 (reliability): told, never dropped."""
    unknown = bits(gpu.throttle_reasons) & ~sum(THROTTLE_REASONS)
    return f"{unknown:#x} of {bits(gpu.throttle_reasons):#x}" if unknown else None


def _often(gpu: GpuSample, look: Look) -> str | None:
    rate, most = look.past.onsets_per_minute(gpu.uuid, "hw_slowdown"), look.limits["per_minute"]
    return f"{rate:.1f} a minute over the last ten (gpud's limit {most:g})" if rate >= most else None


def _held(condition: str, words: str) -> GpuRule:
    """A timed condition has held for `limits["seconds"]`."""

    def when(gpu: GpuSample, look: Look) -> str | None:
        held, least = look.past.held_s(gpu.uuid, condition), look.limits["seconds"]
        return f"{words} for {duration(held)} (limit {duration(least)})" if held >= least else None

    return when


def _lowered(gpu: GpuSample, look: Look) -> str | None:
    held = look.past.held_s(gpu.uuid, "below_default_limit")
    if held < look.limits["seconds"]:
        return None
    limit, usual = number(gpu.power_limit_w), number(gpu.power_default_limit_w)
    return f"held at {limit:.0f} W for {duration(held)}; the part's own limit is {usual:.0f} W"


def _hot(gpu: GpuSample, look: Look) -> str | None:
    """For parts that do not tell a threshold of their own."""
    if number(gpu.temperature_max_c) is not None or number(gpu.temperature_slowdown_c) is not None:
        return None
    value, most = number(gpu.temperature_c), look.limits["most"]
    return f"{value:.0f} °C (limit {most:.0f} °C)" if value is not None and value > most else None


def _reaches(cell: str, limit: str) -> GpuRule:
    def when(gpu: GpuSample, _: Look) -> str | None:
        value, most = number(getattr(gpu, cell)), number(getattr(gpu, limit))
        return f"{value:.0f} °C (the part's limit {most:.0f} °C)" if value and most and value >= most else None

    return when


def _near_slowdown(gpu: GpuSample, look: Look) -> str | None:
    value, slowdown, most = map(number, (gpu.temperature_c, gpu.temperature_slowdown_c, gpu.temperature_max_c))
    if value is None or not slowdown or value < slowdown - look.limits["below"] or (most and value >= most):
        return None
    return f"{value:.0f} °C, slowdown at {slowdown:.0f} °C (limit {look.limits['below']:g} °C below it)"


def _small_margin(gpu: GpuSample, look: Look) -> str | None:
    margin, least = number(gpu.temperature_margin_c), look.limits["least"]
    return f"{margin:.0f} °C left (limit {least:g} °C)" if margin is not None and margin <= least else None


def _implausible(gpu: GpuSample, look: Look) -> str | None:
    power, limits = number(gpu.power_w), look.limits
    if power is None or not GRACE.search(text(gpu.name)) or limits["least"] <= power <= limits["most"]:
        return None
    return f"{power:.0f} W (plausible: {limits['least']:g} to {limits['most']:g} W)"


def _slow_application_clocks(gpu: GpuSample, look: Look) -> str | None:
    now, top = number(gpu.application_sm_clock_mhz), number(gpu.sm_clock_max_mhz)
    if not now or not top or top - now <= look.limits["drift_mhz"]:
        return None
    return f"{now:.0f} MHz of at most {top:.0f} MHz (gcm warns at a drift of {look.limits['drift_mhz']:g} MHz)"


# --- what is timed -------------------------------------------------------------------------------------------


def _is_slowed(gpu: GpuSample, _: Sequence[ProcessSample], __: Limits) -> bool:
    return bool(bits(gpu.throttle_reasons) & HARDWARE)


def _is_warm(gpu: GpuSample, _: Sequence[ProcessSample], __: Limits) -> bool:
    return bool(bits(gpu.throttle_reasons) & SW_THERMAL)


def _is_lowered(gpu: GpuSample, _: Sequence[ProcessSample], __: Limits) -> bool:
    limit, usual = number(gpu.power_limit_w), number(gpu.power_default_limit_w)
    return bool(bits(gpu.throttle_reasons) & POWER_CAP and limit and usual and limit < usual)


TIMED: Final = (
    Timed(name="hw_slowdown", of="TD-CLK-001", gpu=_is_slowed),
    Timed(name="sw_thermal", of="TD-GPU-023", gpu=_is_warm),
    Timed(name="below_default_limit", of="TD-CLK-002", gpu=_is_lowered),
)

CHECKS: Final = (
    Check(
        id="TD-GPU-020",
        title="hardware slowdown",
        severity=Severity.WARNING,
        reads=("throttle_reasons",),
        why="The GPU runs at a fraction of its clocks because its hardware asks for it: heat, power supply, or brake.",
        fix=COOLING,
        source="nvml.h nvmlClocksEventReasonHwSlowdown; gpud hw-slowdown; AzNHC warns",
        gpu=_has(HW_SLOWDOWN),
    ),
    Check(
        id="TD-GPU-021",
        title="hardware thermal slowdown",
        severity=Severity.WARNING,
        reads=("throttle_reasons",),
        why="The GPU is too hot and halves its clocks, or worse.",
        fix=COOLING,
        source="nvml.h nvmlClocksThrottleReasonHwThermalSlowdown; gpud hw-slowdown",
        gpu=_has(HW_THERMAL),
    ),
    Check(
        id="TD-GPU-022",
        title="power brake",
        severity=Severity.WARNING,
        reads=("throttle_reasons",),
        why="The system's power supply asks the GPU to slow down.",
        fix=look_at("ipmitool sel list | tail", Scope.NODE, "root"),
        source="nvml.h nvmlClocksThrottleReasonHwPowerBrakeSlowdown; gpud hw-slowdown",
        gpu=_has(POWER_BRAKE),
    ),
    Check(
        id="TD-GPU-023",
        title="software thermal slowdown",
        severity=Severity.WARNING,
        reads=("throttle_reasons",),
        why="The driver lowers the clocks to keep the GPU or its memory below its highest operating temperature.",
        fix=COOLING,
        source="nvml.h nvmlClocksEventReasonSwThermalSlowdown, when it lasts a minute",
        gpu=_held("sw_thermal", "on"),
        limits={"seconds": 60},
        needs_s=60.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-GPU-024",
        title="at its power limit",
        severity=Severity.INFO,
        reads=("throttle_reasons",),
        why="The clocks follow the power limit: usual under full load, and a reason when two nodes differ.",
        fix=POWER,
        source="nvml.h nvmlClocksEventReasonSwPowerCap; AzNHC ignores it",
        gpu=_has(POWER_CAP),
    ),
    Check(
        id="TD-CLK-001",
        title="hardware slowdown again and again",
        severity=Severity.CRITICAL,
        reads=("throttle_reasons",),
        why="A job on this GPU holds up all its ranks each time; a cable, a riser or the cooling is at fault.",
        fix=INSPECT,
        source="gpud hw-slowdown: unhealthy at 0.6 events a minute over ten minutes",
        gpu=_often,
        limits={"per_minute": 0.6},
        needs_s=600.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-CLK-002",
        title="held below the part's own power limit",
        severity=Severity.WARNING,
        reads=("throttle_reasons", "power_limit_w", "power_default_limit_w"),
        why="Somebody, or the data centre's power management, set the limit lower than the part's own, and the work is "
        "held back by it.",
        fix=POWER,
        source=OWN,
        gpu=_lowered,
        limits={"seconds": 60},
        needs_s=60.0,
        on=On.TIMED,
    ),
    Check(
        id="TD-CLK-003",
        title="clocks are held by a setting",
        severity=Severity.INFO,
        reads=("throttle_reasons",),
        why="Application clocks, sync boost or display clocks are set: ranks with other settings run at other speeds.",
        fix=look_at("nvidia-smi -q -d CLOCK,PERFORMANCE"),
        source="nvml.h nvmlClocksEventReasons",
        gpu=_set_by_somebody,
    ),
    Check(
        id="TD-CLK-004",
        title="clocks are held for a reason that no header names",
        severity=Severity.INFO,
        reads=("throttle_reasons",),
        why="A newer driver has reasons that this torchdoctor does not know.",
        fix=look_at("nvidia-smi -q -d PERFORMANCE"),
        source=OWN,
        gpu=_unknown,
    ),
    Check(
        id="TD-CLK-005",
        title="throttled by heat in the last minute",
        severity=Severity.WARNING,
        reads=("thermal_percent_1m",),
        why="The driver's own stopwatch counted it: unlike a bit that is looked at twice a second, it misses nothing.",
        fix=COOLING,
        source="DCGM MonitorThermal: any time at all",
        gpu=over("thermal_percent_1m", "{value:.1f} % of the last minute (limit {most:g} %)"),
        limits={"most": 0},
    ),
    Check(
        id="TD-CLK-006",
        title="held by the power limit for most of the last minute",
        severity=Severity.INFO,
        reads=("power_capped_percent_1m",),
        why="Usual under full load. DCGM's MonitorPower warns of any time at all, AzNHC ignores it.",
        fix=POWER,
        source=f"{OWN}; DCGM and AzNHC disagree",
        gpu=over("power_capped_percent_1m", "{value:.0f} % of the last minute (limit {most:g} %)"),
        limits={"most": 50},
    ),
    Check(
        id="TD-CLK-007",
        title="slowed by the power brake in the last minute",
        severity=Severity.WARNING,
        reads=("brake_percent_1m",),
        why="The system's power supply asked the GPU to slow down: too many parts on one supply, or a supply is out.",
        fix=look_at("ipmitool sel list | tail", Scope.NODE, "root"),
        source="NVML field 271; DCGM MonitorPower",
        gpu=over("brake_percent_1m", "{value:.1f} % of the last minute (limit {most:g} %)"),
        limits={"most": 0},
    ),
    Check(
        id="TD-GPU-030",
        title="hot",
        severity=Severity.WARNING,
        reads=("temperature_c",),
        why="Above this the clocks will soon be lowered. The part tells no threshold of its own.",
        fix=COOLING,
        source="all-smi's alert, 90 °C; the part's own threshold may differ",
        also=("temperature_max_c", "temperature_slowdown_c"),
        gpu=_hot,
        limits={"most": 90},
    ),
    Check(
        id="TD-CLK-008",
        title="at its highest operating temperature",
        severity=Severity.WARNING,
        reads=("temperature_c", "temperature_max_c"),
        why="Above it the part is outside its specification and lowers its clocks.",
        fix=COOLING,
        source="gpud temperature: degraded at GPU_MAX",
        gpu=_reaches("temperature_c", "temperature_max_c"),
    ),
    Check(
        id="TD-CLK-009",
        title="close to its slowdown temperature",
        severity=Severity.WARNING,
        reads=("temperature_c", "temperature_slowdown_c"),
        why="A little more load or a warmer inlet, and the hardware lowers the clocks.",
        fix=COOLING,
        source=OWN,
        also=("temperature_max_c",),
        gpu=_near_slowdown,
        limits={"below": 5},
    ),
    Check(
        id="TD-CLK-010",
        title="its memory is at its highest operating temperature",
        severity=Severity.WARNING,
        reads=("memory_temperature_c", "memory_temperature_max_c"),
        why="HBM that is too hot lowers the clocks and errs more.",
        fix=COOLING,
        source="gpud temperature: degraded at MEM_MAX",
        gpu=_reaches("memory_temperature_c", "memory_temperature_max_c"),
    ),
    Check(
        id="TD-CLK-011",
        title="hardly any margin to the temperature limit",
        severity=Severity.WARNING,
        reads=("temperature_margin_c",),
        why="The driver tells how far the hottest spot is from the point at which clocks are lowered.",
        fix=COOLING,
        source=f"nvmlDeviceGetMarginTemperature; {OWN} (gpud's default is off)",
        gpu=_small_margin,
        limits={"least": 5},
    ),
    Check(
        id="TD-CLK-012",
        title="a power reading that cannot be",
        severity=Severity.CRITICAL,
        reads=("power_w", "name"),
        why="A Grace Blackwell part outside this range has a fault in its supply or its sensors.",
        fix=drained("the health validation of NVIDIA, then hardware inspection"),
        source="NVIDIA health-validation, GB200 and GB300: critical, to be overridden per fleet",
        gpu=_implausible,
        limits={"least": 65, "most": 1500},
    ),
    Check(
        id="TD-CLK-013",
        title="application clocks are set low",
        severity=Severity.INFO,
        reads=("application_sm_clock_mhz", "sm_clock_max_mhz"),
        why="The default of some parts, A100 among them; a rank whose part is set otherwise is faster or slower.",
        fix=look_at("nvidia-smi -q -d CLOCK"),
        source="gcm: drift of 30 MHz warns, of 75 MHz is critical",
        gpu=_slow_application_clocks,
        limits={"drift_mhz": 30},
    ),
)
