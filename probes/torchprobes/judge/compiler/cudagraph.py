"""Rules of `cudagraph.*`: was a graph captured, launched, right and faster?"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from .. import paired
from ..reading import is_true, line, number, text
from ..rules import Positive, Rule, When

_ALL = ("cudagraph.*",)
_REFERENCE = ("cudagraph.replay",)


def _raised(name: str) -> When:
    def when(readings: Readings) -> str | None:
        kind = text(readings, name)
        return line(f"{kind}: {text(readings, name + '.message')}") if kind else None

    return when


def _wrong(readings: Readings) -> str | None:
    if is_true(readings, "replay.finite") is False:
        return "the poison is still in the output: the replay did not write every number"
    error = paired.error(readings, "reference")
    if error is not None and error[0] > error[1]:
        return f"replay: relative error {error[0]:.2g} against float64 (limit {error[1]:.2g})"
    graphed = number(readings, "graphed_callable_difference")
    limit = paired.GRADIENT_ROUNDING
    if graphed is not None and graphed > limit:
        return f"make_graphed_callables: output or gradient differs from eager by {graphed:.2g} (limit {limit:.2g})"
    return None


def _launches(readings: Readings) -> float | None:
    return number(readings, "graph_launches", side="replay")


def _disagree(readings: Readings) -> str | None:
    launches = _launches(readings)
    if launches is None or launches == 1:
        return None
    return f"{quantity(launches, 'launches')} of graphs a replay (1 expected)"


def _unread(readings: Readings) -> str | None:
    if _launches(readings) is not None or is_true(readings, "replay.finite") is None:
        return None
    fact = readings.fact("profile.unreadable")
    return "no driver call in the profile" if fact is None else f"no profile: {line(f'{fact.value}: {fact.evidence}')}"


def _no_gain(readings: Readings) -> str | None:
    if paired.gains(readings, "reference") is not False or paired.noise(readings):
        return None
    return f"{paired.times(readings, 'reference')}; a gain counts from {quantity(paired.GAIN, 'x')}"


RULES: tuple[Rule, ...] = (
    Rule("TD-CGR-001", _REFERENCE, Verdict.FAIL, Severity.CRITICAL, _raised("cudagraph")),
    Rule("TD-CGR-002", _REFERENCE, Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-CGR-003", _ALL, Verdict.UNSURE, Severity.WARNING, _disagree),
    Rule("TD-CGR-004", _ALL, Verdict.UNSURE, Severity.WARNING, _unread),
    Rule("TD-CGR-005", _REFERENCE, Verdict.DEGRADED, Severity.WARNING, _no_gain),
    Rule("TD-CGR-006", _ALL, Verdict.UNSURE, Severity.WARNING, paired.noise),
    Rule("TD-CGR-007", _REFERENCE, Verdict.DEGRADED, Severity.WARNING, _raised("make_graphed_callables")),
)


def _replayed(readings: Readings) -> str | None:
    """A graph was launched for each replay, recomputed from new input, and was timed."""
    error, times = paired.error(readings, "reference"), paired.times(readings, "reference")
    if _launches(readings) != 1 or not is_true(readings, "replay.finite") or error is None or not times:
        return None
    return f"1 graph launch a replay, recomputed from new input, relative error {error[0]:.1g}, {times}"


POSITIVE: Positive = {"cudagraph.replay": _replayed}
