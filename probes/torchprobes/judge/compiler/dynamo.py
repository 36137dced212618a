"""Conditions of `compile.breaks` and `compile.recompiles`: what Dynamo tells of its decisions, and is it so?

Each returns what was seen, or None. `toolchain_rules` puts them into its table.
"""

from __future__ import annotations

from ...model import Fact, Readings
from ..reading import facts, is_true, line, number, text

CURED = 2
"""Graphs at most for changing sizes once they are dynamic: the first call's, and one for all others."""

_CASES = ("static", "automatic", "dynamic", "dtypes", "strings", "numbers")

# --- breaks ----------------------------------------------------------------------------------------------------------


def _traps(readings: Readings) -> list[Fact]:
    told = facts(readings, "trap.")
    return [f for f in told if f.name.count(".") == 1]


def break_untold(readings: Readings) -> str | None:
    """A function broke, and cause, place or remedy were not told."""
    bad = [f for f in _traps(readings) if f.value not in ("told", "captured")]
    if not bad:
        return None
    return line("; ".join(f"{f.name.partition('.')[2]}: {f.value}, {f.evidence}" for f in bad))


def break_in_control(readings: Readings) -> str | None:
    """A break was told where there is none."""
    fact = readings.fact("breaks.control")
    return line(fact.evidence) or "no words" if fact is not None and fact.value == "broken" else None


def break_changes_answer(readings: Readings) -> str | None:
    """In parts, a function gives another answer than whole."""
    bad = [f.name.split(".")[1] for f in facts(readings, "trap.", ".answer") if f.value is False]
    return f"another answer compiled than eager: {', '.join(bad)}" if bad else None


def break_raises(readings: Readings) -> str | None:
    """What should run in parts raises."""
    told = facts(readings, "trap.", ".raised")
    return line("; ".join(f"{f.name.split('.')[1]}: {f.evidence}" for f in told)) if told else None


def breaks_told(readings: Readings) -> str | None:
    """Every trap was told with cause, line and remedy, and the function without one was captured whole."""
    traps = _traps(readings)
    told = [f for f in traps if f.value == "told"]
    if not told or text(readings, "breaks.control") != "clean" or break_untold(readings):
        return None
    kinds = number(readings, "documented_breaks")
    source = f"{kinds:.0f} kinds documented in this wheel" if kinds else "no registry in this wheel (2.8 and later)"
    whole = len(traps) - len(told)
    return f"{len(told)} of {len(traps)} causes told with line and remedy, {whole} captured whole; {source}"


# --- recompiles ------------------------------------------------------------------------------------------------------


def _graphs(readings: Readings, case: str) -> float | None:
    return number(readings, "graphs", case=case)


def recompiled_wrong(readings: Readings) -> str | None:
    """A variant gives another answer than eager."""
    bad = [case for case in _CASES if number(readings, "wrong_answers", case=case)]
    return f"another answer compiled than eager: {', '.join(bad)}" if bad else None


def not_automatic(readings: Readings) -> str | None:
    """Each new size is compiled anew although nothing asked for static shapes, and which switch says so."""
    graphs = _graphs(readings, "automatic")
    if graphs is None or graphs <= CURED:
        return None
    off = is_true(readings, "recompiles.automatic_dynamic_shapes") is False
    cause = "torch._dynamo.config.automatic_dynamic_shapes is False" if off else "no switch says so"
    return f"{graphs:.0f} graphs for 12 batch sizes (at most {CURED}): {cause}"


def not_cured(readings: Readings) -> str | None:
    """dynamic=True does not stop it."""
    graphs = _graphs(readings, "dynamic")
    reason = text(readings, "recompiles.dynamic.reason")
    if graphs is None or graphs <= CURED:
        return None
    return line(f"{graphs:.0f} graphs for 12 batch sizes with dynamic=True (at most {CURED}): {reason}")


def reason_untold(readings: Readings) -> str | None:
    """Something was compiled again, and no guard was named."""
    bad = [c for c in _CASES if (_graphs(readings, c) or 0) > 1 and number(readings, "reasons", case=c) == 0]
    return f"compiled again without a reason told: {', '.join(bad)}" if bad else None


def eager_below_limit(readings: Readings) -> str | None:
    """Calls ran eager although the limit was not reached."""
    limit = readings.fact("recompiles.limit")
    if limit is None or not isinstance(limit.value, int):
        return None
    for case in _CASES:
        graphs, eager = _graphs(readings, case), number(readings, "eager_calls", case=case)
        if eager and graphs is not None and graphs < limit.value:
            return f"{case}: {eager:.0f} calls ran eager after {graphs:.0f} graphs (limit {limit.value})"
    return None


def limit_met(readings: Readings) -> str | None:
    """What the limit means here, in numbers: from then on new variants run eager."""
    eager = number(readings, "eager_calls", case="static")
    limit = readings.fact("recompiles.limit")
    if not eager or limit is None:
        return None
    return (
        f"with dynamic=False, {eager:.0f} of 12 batch sizes ran eager after {limit.value} variants ({limit.evidence})"
    )


def recompiles_told(readings: Readings) -> str | None:
    """Static sizes were compiled up to the limit, dynamic ones at most twice, each with a reason, all answers right."""
    static, automatic, dynamic = (_graphs(readings, case) for case in ("static", "automatic", "dynamic"))
    limit = readings.fact("recompiles.limit")
    if static is None or automatic is None or dynamic is None or limit is None or not isinstance(limit.value, int):
        return None
    if (
        static != min(12, limit.value)
        or max(automatic, dynamic) > CURED
        or not number(readings, "reasons", case="static")
    ):
        return None
    reason = text(readings, "recompiles.static.reason")
    return line(
        f"12 batch sizes: {static:.0f} graphs static, {automatic:.0f} automatic, {dynamic:.0f} dynamic; {reason}"
    )
