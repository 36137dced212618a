"""Rules of `env.image`: what an image carries for nothing, and files that are not of this machine's kind."""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, is_true, text
from ..rules import Positive, Rule
from .words import several

_ALL = ("env.image",)

CACHES_B = 100 << 20
"""Caches of an image that are worth a word."""


def _contained(readings: Readings) -> str:
    """The kind of container, "" outside of one: on somebody's own machine caches are no fault."""
    kind = text(readings, "container")
    return "" if kind == "none" else kind


def _caches(readings: Readings) -> dict[str, float]:
    return {f.labels.get("place", "?"): f.value for f in readings.figures if f.name == "cache_bytes"}


def _left_caches(readings: Readings) -> str | None:
    sizes, kind = _caches(readings), _contained(readings)
    total = sum(sizes.values())
    if not kind or total < CACHES_B:
        return None
    named = ", ".join(
        f"{place} {quantity(size, 'B')}" for place, size in sorted(sizes.items(), key=lambda i: -i[1]) if size
    )
    return f"{quantity(total, 'B')} of caches in a {kind} image, {quantity(CACHES_B, 'B')} are worth removing: {named}"


def _conda_beside(readings: Readings) -> str | None:
    root = text(readings, "conda.root")
    if not root or is_true(readings, "conda.owns_target") is not False or not _contained(readings):
        return None
    return f"conda in {root}, and the target is not conda's"


def _opencvs(readings: Readings) -> list[str]:
    return [f.name.partition(".")[2] for f in facts(readings, "opencv.") if f.value is True]


def _two_opencvs(readings: Readings) -> str | None:
    found = _opencvs(readings)
    return f"{' and '.join(found)} are installed" if len(found) > 1 else None


def _opencv_with_screen(readings: Readings) -> str | None:
    found = [name for name in _opencvs(readings) if "headless" not in name]
    return f"{found[0]} in a {_contained(readings)} image" if found and _contained(readings) else None


def _other_machine(readings: Readings) -> str | None:
    machine = text(readings, "machine")
    for what in ("torch", "python"):
        fact = readings.fact(f"{what}.arch")
        if machine and fact is not None and fact.value not in (None, machine):
            return f"{fact.evidence} is built for {fact.value}, this machine is {machine}"
    return None


def _emulated(readings: Readings) -> str | None:
    by = text(readings, "emulation")
    return f"{text(readings, 'machine')} is emulated by {by}" if by not in ("", "none") else None


def _unheard(readings: Readings) -> str | None:
    told = [f for start in ("cache.", "conda.", "path.") for f in facts(readings, start, "state") if f.value == "hung"]
    return several([f.evidence if f.name.startswith("cache.") else f"{f.name}: {f.evidence}" for f in told])


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-092", _ALL, None, Severity.WARNING, _left_caches),
    Rule("TD-ENV-093", _ALL, None, Severity.WARNING, _conda_beside),
    Rule("TD-ENV-094", _ALL, Verdict.DEGRADED, Severity.WARNING, _two_opencvs, ("TD-ENV-095",)),
    Rule("TD-ENV-095", _ALL, None, Severity.WARNING, _opencv_with_screen),
    Rule("TD-ENV-096", _ALL, Verdict.FAIL, Severity.CRITICAL, _other_machine),
    Rule("TD-ENV-097", _ALL, Verdict.DEGRADED, Severity.WARNING, _emulated),
    Rule("TD-ENV-098", _ALL, Verdict.UNSURE, Severity.WARNING, _unheard),
)


def _clean(readings: Readings) -> str | None:
    """Caches were walked, and the files' architecture is the machine's."""
    machine, python = text(readings, "machine"), text(readings, "python.arch")
    if not machine or python != machine or readings.fact("caches.complete") is None:
        return None
    total = quantity(sum(_caches(readings).values()), "B")
    most = "" if is_true(readings, "caches.complete") else "at least "
    where = f"a {_contained(readings)} image" if _contained(readings) else "no container"
    arch = text(readings, "torch.arch")
    torch = f" and torch for {arch}" if arch else ""
    return f"{where}: {most}{total} of installers' caches; Python{torch} on {machine}"


POSITIVE: Positive = {"env.image": _clean}
