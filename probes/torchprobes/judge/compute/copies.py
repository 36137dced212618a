"""Rules of compute.bandwidth and compute.p2p: bytes that arrive unchanged, as fast as memory and links allow."""

from __future__ import annotations

import re

from ...model import Expectation, Figure, Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, figure, is_true, line, number, on_gpu, text
from ..rules import Expected, Positive, Rule
from . import peaks
from .speed import NOISE, device_name

_BANDWIDTH = ("compute.bandwidth",)
_P2P = ("compute.p2p",)

_TRANSFERS = {1: 2.5e9, 2: 5e9, 3: 8e9, 4: 16e9, 5: 32e9, 6: 64e9}
"""PCI Express: transfers a second of one lane by generation; a bit each, less the line code."""

_LINE_CODE = {1: 0.8, 2: 0.8, 6: 242 / 256}
_LINE_CODE_ELSE = 128 / 130

LINK_REACHED = 0.85
"""Share of a PCIe link that large pinned copies reach, packet headers taken off (an H200: 55.3 of 63 GB/s, 88 %)."""

NVLINK_REACHED = 0.8
"""The same for a copy over NVLink, one way: packet headers and the copy engine take the rest."""

_WAYS = ("to device", "to host")


def pcie_rate(generation: int, lanes: int) -> float | None:
    """Bytes a second one way of a PCIe link, line code taken off; None for a generation that is not known."""
    transfers = _TRANSFERS.get(generation)
    if transfers is None or lanes <= 0:
        return None
    return transfers * lanes * _LINE_CODE.get(generation, _LINE_CODE_ELSE) / 8


def _link(readings: Readings) -> tuple[int, int] | None:
    """(generation, lanes) of the link while copies ran: NVML's word, else the kernel's; None if neither was read."""
    told = number(readings, "pcie_generation", when="copy"), number(readings, "pcie_width", when="copy")
    if told[0] and told[1]:
        return int(told[0]), int(told[1])
    speed = re.match(r"([\d.]+) GT/s", text(readings, "pcie.current_link_speed"))
    width = text(readings, "pcie.current_link_width")
    if speed is None or not width.isdigit():
        return None
    generation = next((g for g, t in _TRANSFERS.items() if t == float(speed[1]) * 1e9), None)
    return None if generation is None else (generation, int(width))


def _link_reach(readings: Readings) -> peaks.Reach | None:
    link = _link(readings)
    rate = None if link is None else pcie_rate(*link)
    if link is None or rate is None:
        return None
    value = rate * LINK_REACHED
    source = f"PCIe generation {link[0]} x{link[1]} as read while copying, {quantity(rate, 'B/s')}; {LINK_REACHED:.0%}"
    return peaks.Reach(value, value * peaks.DEGRADED_BELOW, value * peaks.FAIL_BELOW, source)


def _memory(readings: Readings) -> tuple[Figure, peaks.Reach] | None:
    """The copy on the device and what it should reach: by the table, else by what the device says of its memory."""
    rate = figure(readings, "copy_rate", kind="device")
    if rate is None or not on_gpu(readings):
        return None
    known = peaks.reach(device_name(readings), "memory")
    if known is not None:
        return rate, known
    told = number(readings, "memory_peak_told")
    return None if not told else (rate, peaks.Reach(told, None, None, "memory clock x bus width x 2, by the device"))


def _is_steady(rate: Figure) -> bool:
    return rate.spread is None or rate.spread <= NOISE * rate.value


def _too_slow(rate: Figure, reach: peaks.Reach, failed: bool) -> str | None:
    is_fail = reach.fail is not None and rate.value < reach.fail
    is_slow = reach.limit is not None and rate.value < reach.limit
    if not is_slow or is_fail != failed or not _is_steady(rate):
        return None
    limit = reach.fail if failed else reach.limit
    seen, wanted, least = (quantity(value, "B/s") for value in (rate.value, reach.value, limit or 0.0))
    return f"{seen}, {wanted} expected (limit {least})"


def _slow_memory(readings: Readings) -> str | None:
    found = _memory(readings)
    return None if found is None else _too_slow(*found, failed=False)


def _dead_slow_memory(readings: Readings) -> str | None:
    found = _memory(readings)
    return None if found is None else _too_slow(*found, failed=True)


def _pinned(readings: Readings) -> list[Figure]:
    rates = (figure(readings, "copy_rate", kind=way, memory="pinned") for way in _WAYS)
    return [rate for rate in rates if rate is not None]


def _slow_link(readings: Readings) -> str | None:
    reach = _link_reach(readings)
    if reach is None:
        return None
    told = ((rate, _too_slow(rate, reach, failed) or "") for rate in _pinned(readings) for failed in (False, True))
    words = [f"{rate.labels.get('kind')}: {seen}" for rate, seen in told if seen]
    return f"{'; '.join(words)} [{reach.source}]" if words else None


def _narrow_link(readings: Readings) -> str | None:
    """Under load the link runs at less than card and slot can do together."""
    now = number(readings, "pcie_generation", when="copy"), number(readings, "pcie_width", when="copy")
    most = number(readings, "pcie_generation_max", when="copy"), number(readings, "pcie_width_max", when="copy")
    if not now[0] or not now[1] or not most[0] or not most[1] or (now[0] >= most[0] and now[1] >= most[1]):
        return None
    return f"generation {now[0]:.0f} x{now[1]:.0f} while copies run, {most[0]:.0f} x{most[1]:.0f} possible here"


def _changed(readings: Readings) -> str | None:
    wrong = [f.name.partition(".")[2] for f in facts(readings, "copy.") if f.value == "wrong"]
    return f"copies that differ from what was sent: {', '.join(wrong)}" if wrong else None


def _not_pinned(readings: Readings) -> str | None:
    fact = readings.fact("copy.pinned")
    return line(fact.evidence) if fact is not None and fact.value == "not here" and on_gpu(readings) else None


def _moved(readings: Readings) -> str | None:
    """A copy was compared and timed; on a GPU from and to the host as well."""
    rate = figure(readings, "copy_rate", kind="device")
    if rate is None or text(readings, "copy.device") != "right":
        return None
    if not on_gpu(readings):
        return f"copies in memory run at {quantity(rate.value, 'B/s')} (read and write), every byte right"
    if text(readings, "copy.pageable") != "right":
        return None
    found = _memory(readings)
    share = f" ({rate.value / found[1].value:.0%} of the expected)" if found and found[1].limit is not None else ""
    words = [f"on the device {quantity(rate.value, 'B/s')}{share}"]
    words += [f"{r.labels.get('kind')} {quantity(r.value, 'B/s')}" for r in _pinned(readings)]
    return f"{', '.join(words)}; every byte right"


def _expected_copies(readings: Readings) -> tuple[Expectation, ...]:
    found, link = _memory(readings), _link_reach(readings)
    rows = [] if found is None else [_expectation(*found, ("kind",))]
    rows += [] if link is None else [_expectation(rate, link, ("kind", "memory")) for rate in _pinned(readings)]
    return tuple(rows)


def _expectation(rate: Figure, reach: peaks.Reach, keys: tuple[str, ...]) -> Expectation:
    return Expectation(
        name=rate.name,
        value=reach.value,
        unit=rate.unit,
        limit=reach.limit,
        labels={key: rate.labels[key] for key in keys if key in rate.labels},
        source=reach.source,
    )


# --- from GPU to GPU -----------------------------------------------------------------------------------------------


def _corrupted(readings: Readings) -> str | None:
    wrong = facts(readings, "p2p.", ".wrong")
    return f"GPU {wrong[0].name.split('.')[1]}: {wrong[0].value}" if wrong else None


def _not_copied(readings: Readings) -> str | None:
    messages = facts(readings, "p2p.", ".message")
    return line(f"GPU {messages[0].name.split('.')[1]}: {messages[0].value}") if messages else None


def _no_peer(readings: Readings) -> str | None:
    refused = [f.name.split(".")[1] for f in facts(readings, "p2p.", ".peer") if f.value is False]
    return f"GPU {', '.join(refused)}: no peer access, copies go through the host's memory" if refused else None


def _nvlink_reach(readings: Readings, way: str) -> peaks.Reach | None:
    """One way over NVLink, where both GPUs have links up and reach each other."""
    known = peaks.part(device_name(readings))
    links = [number(readings, "nvlinks", gpu=str(gpu)) for gpu in (0, 1)]
    if known is None or not known.link or not all(links) or is_true(readings, f"p2p.{way}.peer") is not True:
        return None
    value = known.link / 2 * NVLINK_REACHED
    source = (
        f"{known.name}: NVLink {quantity(known.link, 'B/s')} both ways together; {NVLINK_REACHED:.0%} of half of it"
    )
    return peaks.Reach(value, value * peaks.DEGRADED_BELOW, None, source)


def _p2p_rates(readings: Readings) -> list[Figure]:
    return [f for f in readings.figures if f.name == "p2p_rate"]


def _slow_peer(readings: Readings) -> str | None:
    words = []
    for rate in _p2p_rates(readings):
        way = rate.labels.get("way", "")
        reach = _nvlink_reach(readings, way)
        seen = None if reach is None else _too_slow(rate, reach, failed=False)
        words += [f"GPU {way}: {seen}"] if seen else []
    return "; ".join(words) or None


def _path(readings: Readings, way: str) -> str:
    if is_true(readings, f"p2p.{way}.peer") is not True:
        return "through the host"
    return "NVLink" if number(readings, "nvlinks", gpu="0") and number(readings, "nvlinks", gpu="1") else "PCIe"


def _arrived(readings: Readings) -> str | None:
    """Both directions were compared byte by byte, nothing differed, and then they were timed."""
    rates = _p2p_rates(readings)
    ways = [rate.labels.get("way", "") for rate in rates]
    if len(rates) < 2 or any(number(readings, "p2p_wrong", way=way) != 0 for way in ways):
        return None
    compared = sum(number(readings, "p2p_compared", way=way) or 0 for way in ways)
    words = [
        f"GPU {way} {quantity(r.value, 'B/s')} ({_path(readings, way)})" for way, r in zip(ways, rates, strict=True)
    ]
    return f"{quantity(compared, 'B')} compared, none differs; {', '.join(words)}"


def _expected_peers(readings: Readings) -> tuple[Expectation, ...]:
    rows = ((rate, _nvlink_reach(readings, rate.labels.get("way", ""))) for rate in _p2p_rates(readings))
    return tuple(_expectation(rate, reach, ("way",)) for rate, reach in rows if reach is not None)


RULES: tuple[Rule, ...] = (
    Rule("TD-CPT-040", _BANDWIDTH, Verdict.FAIL, Severity.CRITICAL, _changed),
    Rule("TD-CPT-041", _BANDWIDTH, Verdict.DEGRADED, Severity.WARNING, _slow_memory),
    Rule("TD-CPT-042", _BANDWIDTH, Verdict.FAIL, Severity.CRITICAL, _dead_slow_memory),
    Rule("TD-CPT-043", _BANDWIDTH, Verdict.DEGRADED, Severity.WARNING, _slow_link),
    Rule("TD-CPT-044", _BANDWIDTH, Verdict.DEGRADED, Severity.WARNING, _narrow_link),
    Rule("TD-CPT-046", _BANDWIDTH, Verdict.DEGRADED, Severity.WARNING, _not_pinned),
    Rule("TD-CPT-050", _P2P, Verdict.FAIL, Severity.CRITICAL, _corrupted),
    Rule("TD-CPT-051", _P2P, Verdict.FAIL, Severity.CRITICAL, _not_copied),
    Rule("TD-CPT-052", _P2P, Verdict.DEGRADED, Severity.WARNING, _slow_peer),
    Rule("TD-CPT-053", _P2P, None, Severity.INFO, _no_peer),
)

POSITIVE: Positive = {"compute.bandwidth": _moved, "compute.p2p": _arrived}

EXPECTED: Expected = {"compute.bandwidth": _expected_copies, "compute.p2p": _expected_peers}
