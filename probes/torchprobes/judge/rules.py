"""What a rule is: one reading of the evidence that, if it is there, says one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..model import Expectation, Readings, Severity, Verdict

When = Callable[[Readings], "str | None"]
"""Looks at readings and returns what was seen, with number and limit, or None when the rule does not hold.

It must take empty readings: what was not read is not there, and is never 0.
"""

Positive = Mapping[str, When]
"""By probe name (or `group.*`): the evidence line without which there is no `pass`."""

Expected = Mapping[str, Callable[[Readings], tuple[Expectation, ...]]]
"""By probe name (or `group.*`): what its figures should reach on the device that the readings name; () if unknown."""


EVERY = ("*",)
"""The `probes` of a rule that looks at every probe."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it holds, the finding of `card` is reported and counts as `verdict`.

    `probes` are names, `group.*`, or EVERY. A rule without a verdict only informs. `hides` names the cards that are
    mere consequences of this one: they are not reported beside it, so that one cause is told once.
    """

    card: str
    probes: tuple[str, ...]
    verdict: Verdict | None
    severity: Severity
    when: When
    hides: tuple[str, ...] = ()

    def applies(self, probe: str) -> bool:
        """Whether the rule looks at the readings of `probe`."""
        return not {probe, f"{probe.partition('.')[0]}.*", *EVERY}.isdisjoint(self.probes)
