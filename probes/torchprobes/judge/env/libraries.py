"""Rules of `env.libraries`: every library once, the wheel's own, and the plugins that are named.

Two copies and a library from outside are said by the rules of `cuda.libraries`: one cause has one card.
"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, line, number, on_gpu, text
from ..rules import Positive, Rule
from .words import several

_ALL = ("env.libraries",)


def _missing(readings: Readings) -> str | None:
    """Only where torch has NCCL: without it nobody looks for the plugin."""
    if not text(readings, "nccl.version"):
        return None
    return several([f"{fact.value}: {fact.evidence}" for fact in facts(readings, "nccl.plugin.missing")])


RULES: tuple[Rule, ...] = (Rule("TD-ENV-059", _ALL, Verdict.DEGRADED, Severity.WARNING, _missing),)


def _known(readings: Readings) -> str | None:
    """The libraries were used, and the content of each is known, but of those that are said."""
    there, known = number(readings, "libraries"), number(readings, "libraries_identified")
    if not there or not known or text(readings, "use.answer") != "right":
        return None
    rest = f", {there - known:g} of them unread" if there > known else ""
    where = readings.device if on_gpu(readings) else "the CPU"
    return line(
        f"{quantity(there, 'libraries')} mapped, one copy each, known by their content{rest}; "
        f"a convolution and a product are right on {where}"
    )


POSITIVE: Positive = {"env.libraries": _known}
