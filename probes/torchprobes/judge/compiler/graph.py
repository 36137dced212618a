"""Rules of graph.run: one graph of a torch.compile run, alone.

Its inputs are random: what a graph answers is compared with what it answers eager, never with what the job had. That it
does not gain is no fault of a stack by itself, for the graph is the user's; with a named cause it is degraded.
"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from .. import paired
from ..cards.tracebacks import RAISED, cause
from ..reading import facts, figure, is_true, line, number, on_gpu, raised, text
from ..rules import Positive, Rule, When
from .gain import Bound, without_gain

_GRAPH = "graph.run"
_HERE = (_GRAPH,)
_LABEL = "graph"

ROUNDING = 10.0
"""Compiled code may be this many times further from float64 than eager is ..."""

ROUNDINGS = 64.0
"""... or this many machine epsilons of the coarsest floating type in the answer, whichever is more."""

STIRRED = 64.0
"""Or this many times what inputs that are one rounding away change: random inputs cancel as trained ones do not."""

SPREADS = 4.0
"""Or this many times what eager runs differ from one another."""

MOST_FINITE = 0.5
"""Of less finite numbers an agreement says little."""

HARMLESS_FALLBACKS = (
    "aten.convolution", "aten._scaled_dot_product", "aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm", "aten._int_mm",
    "aten._scaled_mm", "aten.cudnn", "aten._cudnn", "aten.miopen", "prims.rng_prims",
)  # fmt: skip
"""Operators whose library kernel is the fast one."""


def limit(readings: Readings) -> float | None:
    """How far the tensor that is told may be from its reference; None if that was not measured.

    Where a float64 reference was not to be had, eager itself is the reference, and off by nothing.
    """
    spread, stirred = number(readings, "graph.spread"), number(readings, "graph.stirred")
    eps, eager = number(readings, "graph.eps"), number(readings, "graph.eager_off")
    if spread is None or stirred is None or eps is None or eager is None:
        return None
    return max(SPREADS * spread, STIRRED * stirred, ROUNDINGS * eps, ROUNDING * eager)


def _far(readings: Readings) -> tuple[float, str] | None:
    """(distance, from what) of the compiled answer; None if it was not compared."""
    found = figure(readings, "graph.off")
    return None if found is None else (found.value, found.labels.get("reference", "eager"))


def _wrong(readings: Readings) -> str | None:
    """Another answer, which neither rounding nor non-determinism nor random numbers explain."""
    answer = readings.fact("graph.answer")
    if answer is not None and answer.value in ("other shapes", "not finite"):
        return f"{answer.value}: {answer.evidence}{_of(readings)}" if not _draws(readings) else None
    far, allowed = _far(readings), limit(readings)
    if far is None or allowed is None or far[0] <= allowed or _draws(readings):
        return None
    return f"{far[0]:.2g} from {far[1]} (limit {allowed:.2g}){_of(readings)}"


def _draws(readings: Readings) -> bool:
    return is_true(readings, "graph.random") is True


def _random(readings: Readings) -> str | None:
    """It draws random numbers, and its answer cannot be compared."""
    far, allowed = _far(readings), limit(readings)
    if not _draws(readings) or far is None or allowed is None or far[0] <= allowed:
        return None
    return f"two seeds give two answers; the compiled one is {far[0]:.2g} from {far[1]}, which says nothing"


def _vacuous(readings: Readings) -> str | None:
    share = number(readings, "graph.finite_share")
    if share is None or share >= MOST_FINITE:
        return None
    return f"{quantity(share, 'share')} of the eager answer's numbers are finite (at least {MOST_FINITE:.0%} needed)"


def _raised(name: str, card: str | None = None) -> When:
    """A rule that holds when `name` was raised and belongs to `card`; None: to no card of its own."""

    def when(readings: Readings) -> str | None:
        words = raised(readings, name)
        return f"{words}{_of(readings, name)}" if words and cause(words) == card else None

    return when


def _any_raised(name: str) -> When:
    def when(readings: Readings) -> str | None:
        words = raised(readings, name)
        return f"{words}{_of(readings, name)}" if words else None

    return when


def _of(readings: Readings, name: str = "") -> str:
    """Where in the graph, and, for a minifier's repro, whether that is what it was made for."""
    where = readings.fact(f"{name}.line") if name else None
    words = f"; at {where.value}: {where.evidence}" if where is not None else ""
    if not _is_repro(readings):
        return words
    expected = text(readings, "graph.expected")
    as_told = "" if not expected else ", as it did" if expected in text(readings, f"{name}.message") else ", otherwise"
    return f"{words} (the {text(readings, 'graph.kind')} still fails{as_told})"


def _is_repro(readings: Readings) -> bool:
    return text(readings, "graph.kind").startswith("minifier")


def _causes(readings: Readings) -> str:
    """Why a graph may not gain, as far as it is known; "" if it is not."""
    fallbacks = [text(readings, f.name) for f in facts(readings, "graph.fallback.")]
    slow = [name for name in fallbacks if not name.startswith(HARMLESS_FALLBACKS)]
    skips = number(readings, "cudagraph_skips", model=_LABEL)
    told = [f"{', '.join(slow)} run in eager kernels"] if slow else []
    told += [f"CUDA graphs were skipped ({text(readings, 'graph.cudagraph_skip_reason') or 'no reason told'})"] * bool(
        skips
    )
    return "; ".join(told)


def _held_back(readings: Readings) -> str | None:
    """It surely does not gain on a GPU, and a mechanism of the compiler is why."""
    if not on_gpu(readings) or paired.gains(readings, _LABEL) is not False:
        return None
    why = _causes(readings)
    return f"{paired.times(readings, _LABEL)}: {why}" if why else None


def _on_cpu(readings: Readings) -> str | None:
    if on_gpu(readings) or paired.gains(readings, _LABEL) is not False:
        return None
    return f"no gain on this graph: {paired.times(readings, _LABEL)}"


def _left_out(readings: Readings) -> str | None:
    told = facts(readings, "graph.left_out.")
    return line(f"{len(told)}: {told[0].value} ({told[0].evidence})") if told else None


def _collectives(readings: Readings) -> str | None:
    return "its collectives ran in groups that only pretend" if is_true(readings, "graph.collectives") else None


_BOUNDS: tuple[tuple[str, Bound], ...] = (
    ("TD-CMP-042", "launch"),
    ("TD-CMP-043", "compute"),
    ("TD-CMP-045", "unread"),
)

_FAIL, _UNSURE, _DEGRADED = Verdict.FAIL, Verdict.UNSURE, Verdict.DEGRADED
_CRITICAL, _WARNING, _INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

RULES: tuple[Rule, ...] = (
    *(Rule(card, _HERE, _FAIL, _CRITICAL, _raised("compile", card)) for card, _ in RAISED),
    Rule("TD-GRF-001", _HERE, _FAIL, _CRITICAL, _raised("compile")),
    Rule("TD-GRF-002", _HERE, _FAIL, _CRITICAL, _any_raised("graph.compiled")),
    Rule("TD-GRF-003", _HERE, _FAIL, _CRITICAL, _wrong),
    Rule("TD-GRF-010", _HERE, _UNSURE, _WARNING, _any_raised("graph.load")),
    Rule("TD-GRF-011", _HERE, _UNSURE, _WARNING, _any_raised("graph.eager")),
    Rule("TD-GRF-012", _HERE, _UNSURE, _INFO, _random),
    Rule("TD-GRF-013", _HERE, _UNSURE, _INFO, _vacuous),
    Rule("TD-GRF-020", _HERE, _DEGRADED, _WARNING, _held_back, tuple(card for card, _ in _BOUNDS)),
    Rule("TD-CMP-041", _HERE, None, _INFO, _on_cpu),
    *(Rule(card, _HERE, None, _INFO, without_gain(bound, _LABEL, "this graph")) for card, bound in _BOUNDS),
    Rule("TD-GRF-030", _HERE, None, _INFO, _left_out),
    Rule("TD-GRF-031", _HERE, None, _INFO, _collectives),
)


def _ran(readings: Readings) -> str | None:
    """The compiled graph was entered, its answer agrees with eager's, and both were timed."""
    calls, far, times = number(readings, "compiled_calls"), _far(readings), paired.times(readings, _LABEL)
    compile_s = number(readings, "compile_s")
    if not calls or far is None or limit(readings) is None or not times or compile_s is None:
        return None
    fixed = f"the {text(readings, 'graph.kind')} does not fail here: " if _is_repro(readings) else ""
    ops, kernels = number(readings, "graph.ops") or 0, number(readings, "generated_kernels", model=_LABEL)
    made = "" if kernels is None else f" into {quantity(kernels, 'kernels')}"
    compiled = f"{quantity(ops, 'ops')} compiled{made} in {quantity(compile_s, 's')}"
    return f"{fixed}{compiled}, {far[0]:.1g} from {far[1]}, {times}"


POSITIVE: Positive = {_GRAPH: _ran}
