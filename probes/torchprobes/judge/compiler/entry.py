"""Rules of compile.entry, export.entry and cudagraph.entry: the user's own model.

What the compiler did to it is judged by the same rules as the reference models; here stand the answers, and what only
a user's model can show.
"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from .. import paired
from ..reading import is_true, number, raised, text
from ..rules import Expected, Positive, Rule, When
from .gain import Bound, without_gain

_COMPILE, _EXPORT, _GRAPH = "compile.entry", "export.entry", "cudagraph.entry"
_ALL = (_COMPILE, _EXPORT, _GRAPH)

CASES = ("compiled", "non-strict", "strict", "only", "replay")
"""Ways to the same answer, as payloads name them."""

SPREADS = 4.0
"""Another way may be this many times further from eager than eager runs are from one another ..."""

ROUNDINGS = 64.0
"""... or this many machine epsilons of the coarsest floating type in the answer, whichever is more. float32: 7.6e-6;
bfloat16: 0.5, for a deep model in half precision drifts that far by rounding alone."""

MOST_EAGER = 0.10
"""More of a step's time than this in operators outside of compiled code is a part that is not compiled."""


def limit(readings: Readings) -> float | None:
    """How far another way's answer may be from eager's; None if that was not measured."""
    spread, eps = number(readings, "entry.spread"), number(readings, "entry.eps")
    return None if spread is None or eps is None else max(SPREADS * spread, ROUNDINGS * eps)


def _wrong(readings: Readings) -> str | None:
    """An answer that neither rounding, nor randomness, nor non-determinism explains."""
    for case in CASES:
        words = text(readings, f"entry.{case}.answer")
        if words and words != "compared":
            fact = readings.fact(f"entry.{case}.answer")
            return f"{case}: {words}: {fact.evidence if fact else ''}"
        far, allowed = number(readings, "entry.distance", case=case), limit(readings)
        if far is not None and allowed is not None and far > allowed and not _excused(readings, case):
            return f"{case}: {far:.2g} from eager (limit {allowed:.2g})"
    return None


def _excused(readings: Readings, case: str) -> bool:
    """A replayed graph and a program draw other random numbers; compiled code was made to draw the same."""
    return case != "compiled" and is_true(readings, "entry.random") is True


def _random(readings: Readings) -> str | None:
    seed = number(readings, "entry.seed_distance")
    if not is_true(readings, "entry.random") or seed is None:
        return None
    return f"answers of two seeds are {seed:.2g} apart; compiled code was compared with the random numbers of eager"


def _unsteady(readings: Readings) -> str | None:
    spread = number(readings, "entry.spread")
    return f"eager runs of one seed and state are {spread:.2g} apart" if spread else None


def _partly_eager(readings: Readings) -> str | None:
    eager, share = number(readings, "eager_share"), number(readings, "coverage")
    if eager is None or share is None or eager <= MOST_EAGER or not number(readings, "compiled_calls_per_step"):
        return None
    return (
        f"{quantity(eager, 'share')} of the step's time is in eager operators (limit {quantity(MOST_EAGER, 'share')}); "
        f"compiled code covers {quantity(share, 'share')}"
    )


def _raised(*names: str) -> When:
    """A rule that holds when every one of the ways named was tried, and each raised."""

    def when(readings: Readings) -> str | None:
        told = [raised(readings, name) for name in names]
        return told[0] if told and all(told) else None

    return when


def _one_way(readings: Readings) -> str | None:
    """Only one of strict and non-strict tracing works."""
    strict, non_strict = raised(readings, "export.strict"), raised(readings, "export.non-strict")
    if (strict is None) == (non_strict is None):
        return None
    return f"strict: {strict}" if strict else f"non-strict: {non_strict}"


def _no_gain(readings: Readings) -> str | None:
    low, value = number(readings, "speedup_high", model="reference"), number(readings, "speedup", model="reference")
    if low is None or value is None or low >= 1.0:
        return None
    return f"replay is {quantity(value, 'x')} as fast as eager"


_BOUNDS: tuple[tuple[str, Bound], ...] = (
    ("TD-CMP-042", "launch"),
    ("TD-CMP-043", "compute"),
    ("TD-CMP-045", "unread"),
)
"""On a GPU; that a CPU gains nothing is told by TD-CMP-041."""

RULES: tuple[Rule, ...] = (
    Rule("TD-ENT-001", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-ENT-002", _ALL, None, Severity.INFO, _random),
    Rule("TD-ENT-003", _ALL, None, Severity.INFO, _unsteady),
    Rule("TD-ENT-010", (_COMPILE,), Verdict.DEGRADED, Severity.WARNING, _partly_eager),
    *(
        Rule(card, (_COMPILE,), None, Severity.INFO, without_gain(bound, "reference", "this model"))
        for card, bound in _BOUNDS
    ),
    Rule("TD-ENT-020", (_EXPORT,), Verdict.FAIL, Severity.WARNING, _raised("export.non-strict", "export.strict")),
    Rule("TD-ENT-020", (_EXPORT,), Verdict.FAIL, Severity.WARNING, _raised("export.only")),
    Rule("TD-ENT-021", (_EXPORT,), None, Severity.INFO, _one_way),
    Rule("TD-ENT-030", (_GRAPH,), Verdict.FAIL, Severity.WARNING, _raised("cudagraph")),
    Rule("TD-ENT-031", (_GRAPH,), None, Severity.INFO, _no_gain),
)


def _compiled(readings: Readings) -> str | None:
    """Compiled code was entered, its answer agrees, and it was timed."""
    calls, far = number(readings, "compiled_calls_per_step"), number(readings, "entry.distance", case="compiled")
    times, share = paired.times(readings, "reference"), number(readings, "coverage")
    if not calls or far is None or limit(readings) is None or not times:
        return None
    covered = "" if share is None else f"compiled code covers {quantity(share, 'share')} of a step, "
    return f"{covered}{quantity(calls, 'calls')} into it a step, distance {far:.1g} from eager, {times}"


def _exported(readings: Readings) -> str | None:
    done = [case for case in CASES if number(readings, "entry.distance", case=case) is not None]
    if not done or limit(readings) is None:
        return None
    told = ", ".join(f"{case} {number(readings, 'entry.distance', case=case):.1g}" for case in done)
    return f"exported and answered as the model does, relative distance: {told}"


def _replayed(readings: Readings) -> str | None:
    far, launches = number(readings, "entry.distance", case="replay"), number(readings, "graph_launches", side="replay")
    speedup = number(readings, "speedup", model="reference")
    if far is None or limit(readings) is None or not launches or speedup is None:
        return None
    return f"captured, {launches:g} graph launches a step, distance {far:.1g} from eager, {quantity(speedup, 'x')}"


POSITIVE: Positive = {_COMPILE: _compiled, _EXPORT: _exported, _GRAPH: _replayed}

EXPECTED: Expected = {}
