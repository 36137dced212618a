"""Rules of `compile.*`: did compiled code run, rightly, and does it help where it must?"""

from __future__ import annotations

from ..model import Readings, Severity, Verdict
from . import compile_entered as entered
from . import compile_gain as gain
from . import paired
from .cards.tracebacks import RAISED
from .rules import Positive, Rule

_ALL = ("compile.*",)
_GRAPH_MODES = ("compile.reduce-overhead", "compile.max-autotune")

_FAIL, _DEGRADED, _UNSURE = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE
_CRITICAL, _WARNING, _INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

_UNNAMED = ("TD-CMP-026", "TD-CMP-029", "TD-CMP-030")
_HIDDEN = ("TD-CMP-020", "TD-CMP-021")
_SPEED = ("TD-CMP-040", "TD-CMP-046")

_TOOLS = tuple(Rule(card, _ALL, _FAIL, _CRITICAL, entered.raised_for(card)) for card, _ in RAISED)

_EAGER = (
    Rule("TD-CMP-019", _ALL, _FAIL, _CRITICAL, entered.raised_for(None)),
    Rule("TD-CMP-020", _ALL, _DEGRADED, _WARNING, entered.eager_if(entered.hidden_error), _UNNAMED),
    Rule("TD-CMP-021", _ALL, _DEGRADED, _WARNING, entered.eager_if(entered.hidden_compiler), ("TD-CMP-020", *_UNNAMED)),
    Rule(
        "TD-CMP-022",
        _ALL,
        _DEGRADED,
        _WARNING,
        entered.eager_if(entered.dynamo_disabled),
        ("TD-CMP-023", "TD-CMP-024", *_HIDDEN, *_UNNAMED),
    ),
    Rule(
        "TD-CMP-023",
        _ALL,
        _DEGRADED,
        _WARNING,
        entered.eager_if(entered.config_disabled),
        ("TD-CMP-024", *_HIDDEN, *_UNNAMED),
    ),
    Rule("TD-CMP-024", _ALL, _DEGRADED, _WARNING, entered.eager_if(entered.stance), (*_HIDDEN, *_UNNAMED)),
    Rule("TD-CMP-025", _ALL, _DEGRADED, _WARNING, entered.eager_if(entered.limit), (*_HIDDEN, *_UNNAMED)),
    Rule("TD-CMP-026", _ALL, _DEGRADED, _WARNING, entered.eager_if(entered.unimplemented), ("TD-CMP-029",)),
    Rule("TD-CMP-029", _ALL, _FAIL, _CRITICAL, entered.eager_if(lambda _: "none of the known causes was seen")),
)

_IN_PART = (
    Rule("TD-CMP-030", _ALL, _DEGRADED, _WARNING, entered.breaks, ("TD-CMP-029",)),
    Rule("TD-CMP-031", _GRAPH_MODES, _DEGRADED, _WARNING, entered.graphs_skipped, _SPEED),
    Rule("TD-CMP-032", _GRAPH_MODES, None, _INFO, entered.graphs_on_cpu),
    Rule("TD-CMP-033", _GRAPH_MODES, _UNSURE, _WARNING, entered.graphs_unread),
    Rule("TD-CMP-034", _ALL, _DEGRADED, _WARNING, entered.nothing_generated, _SPEED),
    Rule("TD-CMP-035", ("compile.max-autotune",), None, _INFO, entered.small_gpu),
    Rule("TD-CMP-036", _ALL, None, _WARNING, entered.would_hide),
)

_GAIN = (
    Rule("TD-CMP-040", _ALL, _DEGRADED, _WARNING, gain.no_gain(gpu=True)),
    Rule("TD-CMP-041", _ALL, None, _INFO, gain.no_gain(gpu=False)),
    Rule("TD-CMP-042", _ALL, None, _INFO, gain.toy_without_gain("launch")),
    Rule("TD-CMP-043", _ALL, None, _INFO, gain.toy_without_gain("compute")),
    Rule("TD-CMP-044", _ALL, None, _INFO, gain.toy_without_gain("cpu")),
    Rule("TD-CMP-045", _ALL, None, _INFO, gain.toy_without_gain("unread")),
    Rule("TD-CMP-046", _ALL, _UNSURE, _WARNING, paired.noise),
)

_RIGHT = (
    Rule("TD-CMP-050", _ALL, _FAIL, _CRITICAL, gain.wrong),
    Rule("TD-CMP-051", _ALL, _FAIL, _CRITICAL, gain.not_finite),
)

_CACHES = (
    Rule("TD-CMP-060", _ALL, _DEGRADED, _WARNING, gain.cache_missed),
    Rule("TD-CMP-061", _ALL, None, _INFO, gain.cache_off),
    Rule("TD-CMP-062", _ALL, _UNSURE, _WARNING, gain.second_process_failed),
)

RULES: tuple[Rule, ...] = _TOOLS + _EAGER + _IN_PART + _GAIN + _RIGHT + _CACHES


def _ran_compiled(readings: Readings) -> str | None:
    """Compiled code was entered, its answer was checked, and it was timed: what a pass of `compile.*` rests on."""
    calls, error = entered.calls(readings), paired.error(readings, "reference")
    times = paired.times(readings, "reference")
    if not calls or error is None or not times:
        return None
    return f"{calls:g} compiled calls a step, relative error {error[0]:.1g} against float64, {times}"


POSITIVE: Positive = {"compile.*": _ran_compiled}
