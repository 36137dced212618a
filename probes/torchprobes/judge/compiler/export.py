"""Rules of `export.*`: can tools read a forward, and does an exported program survive?"""

from __future__ import annotations

from ...model import Fact, Readings, Severity, Verdict
from ..cards.tracebacks import RAISED
from ..reading import facts, is_true, line, raised, text
from ..rules import Positive, Rule, When
from . import entered
from . import export_parts as parts

_FORWARD = ("export.signature",)
_EXPORT = ("export.roundtrip",)
_AOTI = ("export.aoti",)

ROUNDING = 1e-5
"""Above this a difference is no rounding: outputs are of the order of 1, in single precision."""


# --- export.signature ---------------------------------------------------------------------------------------


def _detector(readings: Readings) -> str | None:
    fact = readings.fact("forward.detector")
    return line(fact.evidence) if fact is not None and fact.value is False else None


def _call(readings: Readings) -> str | None:
    state = text(readings, "forward.annotated")
    if state not in ("", "complete"):
        return f"an annotated forward is read as {state}"
    return _wrong(readings, "forward.call") or raised(readings, "forward.call.raised")


def _wrong(readings: Readings, name: str) -> str | None:
    fact = readings.fact(name)
    return line(f"wrong: {fact.evidence}") if fact is not None and fact.value == "wrong" else None


def _tool(name: str) -> When:
    def when(readings: Readings) -> str | None:
        return _wrong(readings, name) or raised(readings, name + ".raised")

    return when


def _readable(readings: Readings) -> str | None:
    if not is_true(readings, "forward.detector") or text(readings, "forward.call") != "right":
        return None
    library = readings.fact("forward.library")
    complete = readings.fact("forward.library.complete")
    count = f"; {complete.value} of {library.value} modules of torch.nn are complete" if library and complete else ""
    return f"an annotated forward was read, called and answered right; two others were told apart from it{count}"


# --- export.roundtrip ----------------------------------------------------------------------------------------


def _exported(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "export.", ".raised") if _is_case(f, ".raised")]
    draft = readings.fact("export.draft")
    said = "; ".join(f"{f.name.split('.')[1]}: {raised(readings, f.name)}" for f in told)
    return line(said + (f"; draft_export says: {draft.value}" if draft else "")) if told else None


def _is_case(fact: Fact, end: str) -> bool:
    case = fact.name[len("export.") : -len(end)]
    return "." not in case and case != "draft"


def _differences(readings: Readings) -> list[tuple[str, str | float]]:
    """Where it was compared ("dynamic, another process, batch 48"), and by how much it differs."""
    told: list[tuple[str, str | float]] = []
    for place, words in (("here", "same process"), ("fresh", "another process")):
        for fact in readings.facts:
            parts = fact.name.split(".")
            if len(parts) == 4 and parts[0] == "export" and parts[2] == place and parts[3].isdigit():
                value = fact.value if isinstance(fact.value, (int, float)) else str(fact.value)
                told.append((f"{parts[1]}, {words}, batch {parts[3]}", value))
    return told


def _different(readings: Readings) -> str | None:
    told = [f"{where}: {d}" for where, d in _differences(readings) if isinstance(d, str) or not d <= ROUNDING]
    return line("; ".join(told)) + f" (limit {ROUNDING:g})" if told else None


def _not_bit_equal(readings: Readings) -> str | None:
    told = [
        f"{where}: {d:g}" for where, d in _differences(readings) if isinstance(d, (int, float)) and 0 < d <= ROUNDING
    ]
    return line("; ".join(told)) if told else None


def _not_loaded(readings: Readings) -> str | None:
    told = facts(readings, "export.", ".fresh.raised")
    if told:
        return line("; ".join(f"{f.name.split('.')[1]}: {raised(readings, f.name)}" for f in told))
    ending = readings.fact("export.fresh.ending")
    if ending is None or ending.value == 0:
        return None
    return "it gave no answer in time" if ending.value == "timeout" else f"it ended with {ending.value}"


def _comparison(readings: Readings) -> str | None:
    fact = readings.fact("export.comparison")
    return fact.evidence + ": not so" if fact is not None and fact.value is False else None


def _no_dynamic(readings: Readings) -> str | None:
    fact = readings.fact("export.dynamic")
    return fact.evidence if fact is not None and fact.value == "not in this version" else None


def _survived(readings: Readings) -> str | None:
    """Each saved program was loaded by another process and gave the same bits for every batch that was saved."""
    saved = {f.name.split(".")[1] for f in facts(readings, "export.", ".bytes")}
    fresh = [(w, d) for w, d in _differences(readings) if "another process" in w]
    proven = {where.split(",")[0] for where, d in fresh if d == 0}
    if not saved or saved != proven or is_true(readings, "export.comparison") is not True:
        return None
    names = ", ".join(sorted(saved))
    return f"{len(saved)} programs ({names}) gave the same bits in another process, {len(fresh)} answers"


def _export_instead(readings: Readings) -> str | None:
    """torch.compile raised, ran eager or has no backend here, and the same process exported a model, right."""
    toy = readings.fact("export.toy")
    return f"a small model was {toy.evidence}" if toy is not None and toy.value == "right" else None


RULES: tuple[Rule, ...] = (
    Rule("TD-FWD-001", _FORWARD, Verdict.UNSURE, Severity.WARNING, _detector),
    Rule("TD-FWD-002", _FORWARD, Verdict.FAIL, Severity.CRITICAL, _call),
    Rule("TD-FWD-003", _FORWARD, Verdict.DEGRADED, Severity.WARNING, _tool("forward.script")),
    Rule("TD-FWD-004", _FORWARD, Verdict.DEGRADED, Severity.WARNING, _tool("forward.fx")),
    Rule("TD-EXP-001", _EXPORT, Verdict.FAIL, Severity.CRITICAL, _exported),
    Rule("TD-EXP-002", _EXPORT, Verdict.FAIL, Severity.CRITICAL, _different),
    Rule("TD-EXP-003", _EXPORT, Verdict.DEGRADED, Severity.WARNING, _not_bit_equal),
    Rule("TD-EXP-004", _EXPORT, Verdict.FAIL, Severity.CRITICAL, _not_loaded),
    Rule("TD-EXP-005", _EXPORT, Verdict.UNSURE, Severity.WARNING, _comparison),
    Rule("TD-EXP-006", _EXPORT, None, Severity.INFO, _no_dynamic),
    Rule("TD-EXP-030", ("export.modes",), Verdict.FAIL, Severity.CRITICAL, parts.mode_fails),
    Rule("TD-EXP-031", ("export.modes",), None, Severity.WARNING, parts.refusal_unnamed),
    Rule("TD-EXP-032", ("export.modes",), Verdict.FAIL, Severity.CRITICAL, parts.branch_lost),
    Rule("TD-EXP-033", ("export.modes",), Verdict.DEGRADED, Severity.WARNING, parts.draft_is_silent),
    *(Rule(card, _AOTI, Verdict.FAIL, Severity.CRITICAL, entered.raised_for(card)) for card, _ in RAISED),
    Rule("TD-EXP-040", _AOTI, Verdict.FAIL, Severity.CRITICAL, entered.raised_for(None)),
    Rule("TD-EXP-043", _AOTI, Verdict.FAIL, Severity.CRITICAL, parts.no_cuda_headers, ("TD-EXP-040",)),
    Rule("TD-EXP-041", _AOTI, Verdict.FAIL, Severity.CRITICAL, parts.package_not_loaded),
    Rule("TD-EXP-042", _AOTI, Verdict.FAIL, Severity.CRITICAL, parts.package_is_wrong),
    Rule("TD-EXP-020", ("compile.*",), None, Severity.INFO, _export_instead),
)

POSITIVE: Positive = {
    "export.signature": _readable,
    "export.roundtrip": _survived,
    "export.modes": parts.modes_work,
    "export.aoti": parts.package_works,
}
