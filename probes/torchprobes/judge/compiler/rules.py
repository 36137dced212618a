"""Rules of `compile.*`: did compiled code run, rightly, and does it help where it must?"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from .. import paired
from ..cards.tracebacks import RAISED
from ..rules import Positive, Rule
from . import eager, entered, gain, part

_ALL = ("compile.*",)
_GRAPHS = (*part.GRAPH_MODES, "compile.entry")
_ENTRY = ("compile.entry",)
_MODES = ("compile.default", *part.GRAPH_MODES, "compile.max-autotune-no-cudagraphs")
"""Probes of reference models, on which a sound GPU gains; whether a user's own model must is not known."""

_FAIL, _DEGRADED, _UNSURE = Verdict.FAIL, Verdict.DEGRADED, Verdict.UNSURE
_CRITICAL, _WARNING, _INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

_SPEED = ("TD-CMP-040", "TD-CMP-046")
_SPLIT = ("TD-CMP-029", "TD-CMP-030")
_PARTLY = "TD-ENT-010"
"""A part of the step is eager: told where nothing says why."""

_TOOLS = (
    *(Rule(card, _ALL, _FAIL, _CRITICAL, entered.raised_for(card)) for card, _ in RAISED),
    Rule("TD-CMP-019", _ALL, _FAIL, _CRITICAL, entered.raised_for(None)),
)


def _causes() -> tuple[Rule, ...]:
    """Why it ran eager: each cause hides those after it, and what is told without a cause."""
    cards = [card for card, _ in eager.CAUSES]
    return tuple(
        Rule(card, _ALL, _DEGRADED, _WARNING, eager.eager_if(find), (*cards[index + 1 :], *_SPLIT))
        for index, (card, find) in enumerate(eager.CAUSES)
    )


_EAGER = (
    *_causes(),
    Rule("TD-CMP-029", _ALL, _FAIL, _CRITICAL, eager.eager_if(lambda _: "none of the known causes was seen")),
)

_IN_PART = (
    Rule("TD-CMP-025", _ALL, _DEGRADED, _WARNING, part.limit_in_part, ("TD-CMP-039", _PARTLY)),
    Rule("TD-CMP-030", _ALL, _DEGRADED, _WARNING, part.breaks, ("TD-CMP-029", _PARTLY)),
    Rule("TD-CMP-034", _MODES, _DEGRADED, _WARNING, part.nothing_generated, _SPEED),
    Rule("TD-CMP-034", _ENTRY, None, _INFO, part.nothing_generated),
    Rule("TD-CMP-035", _ALL, None, _INFO, part.small_gpu),
    Rule("TD-CMP-036", _ALL, None, _WARNING, part.would_hide),
    Rule("TD-CMP-039", _ALL, None, _INFO, part.flips),
    Rule("TD-CMP-070", _ALL, _DEGRADED, _WARNING, part.disabled_inside, ("TD-CMP-030", _PARTLY)),
    Rule("TD-CMP-073", _ALL, _DEGRADED, _WARNING, part.mode_recompiling, ("TD-CMP-039", "TD-CMP-076", _PARTLY)),
    Rule("TD-CMP-075", _ALL, _DEGRADED, _WARNING, part.debug_backend, ("TD-CMP-034", *_SPEED)),
    Rule("TD-CMP-076", _ALL, _DEGRADED, _WARNING, part.recompiling, ("TD-CMP-039", "TD-CMP-038", _PARTLY, *_SPEED)),
)

_CUDA_GRAPHS = (
    Rule("TD-CMP-031", _GRAPHS, _DEGRADED, _WARNING, part.graphs_skipped, _SPEED),
    Rule("TD-CMP-032", _GRAPHS, None, _INFO, part.graphs_on_cpu),
    Rule("TD-CMP-033", _GRAPHS, _UNSURE, _WARNING, part.graphs_unread),
    Rule("TD-CMP-037", _GRAPHS, _DEGRADED, _WARNING, part.graphs_vanished, _SPEED),
    Rule("TD-CMP-038", _GRAPHS, _DEGRADED, _WARNING, part.graphs_captured_again, ("TD-CMP-031", "TD-CMP-037", *_SPEED)),
)

_SLOW = (
    Rule("TD-CMP-080", _ALL, _DEGRADED, _WARNING, part.attention_math),
    Rule("TD-CMP-081", _ENTRY, _DEGRADED, _WARNING, part.bf16_emulated),
    Rule("TD-CMP-082", _ENTRY, None, _INFO, part.tf32_off),
    Rule("TD-CMP-083", _ENTRY, _DEGRADED, _WARNING, part.cudnn_off),
)

_GAIN = (
    Rule("TD-CMP-040", _MODES, _DEGRADED, _WARNING, gain.no_gain(gpu=True)),
    Rule("TD-CMP-041", _ALL, None, _INFO, gain.no_gain(gpu=False)),
    Rule("TD-CMP-042", _ALL, None, _INFO, gain.without_gain("launch", "toy", "the toy")),
    Rule("TD-CMP-043", _ALL, None, _INFO, gain.without_gain("compute", "toy", "the toy")),
    Rule("TD-CMP-044", _ALL, None, _INFO, gain.without_gain("cpu", "toy", "the toy")),
    Rule("TD-CMP-045", _ALL, None, _INFO, gain.without_gain("unread", "toy", "the toy")),
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
    Rule("TD-CMP-063", _ALL, None, _WARNING, part.bypassed),
)

RULES: tuple[Rule, ...] = _TOOLS + _EAGER + _IN_PART + _CUDA_GRAPHS + _SLOW + _GAIN + _RIGHT + _CACHES


def _ran_compiled(readings: Readings) -> str | None:
    """Compiled code was entered, its answer was checked, and it was timed: what a pass of `compile.*` rests on."""
    calls, error = entered.calls(readings), paired.error(readings, "reference")
    times = paired.times(readings, "reference")
    if not calls or error is None or not times:
        return None
    return f"{quantity(calls, 'calls')} of compiled code a step, relative error {error[0]:.1g} against float64, {times}"


POSITIVE: Positive = {"compile.*": _ran_compiled}
