"""Rules of `serving.*`: does a model answer rightly from a web server, and does the server stay awake meanwhile?"""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import figure, line, number, raised, text
from ..rules import Positive, Rule

_ALL = ("serving.*",)

SLOW_HEALTH_US = 250e3
"""Half of the second that Kubernetes gives a liveness probe by default would still leave no room for a bad moment."""

STALL = 3.0
"""An `async def` handler that computes makes health checks wait this many times longer than a `def` one."""


def _not_started(readings: Readings) -> str | None:
    fact = readings.fact("serving.started")
    why = raised(readings, "serving.raised")
    if fact is None or fact.value is not False:
        return why
    return line(f"{fact.evidence}; {why}" if why else fact.evidence)


def _died(readings: Readings) -> str | None:
    fact = readings.fact("serving.alive")
    return fact.evidence if fact is not None and fact.value is False else None


def _failed(readings: Readings) -> str | None:
    fact = readings.fact("serving.failures")
    if fact is None or not isinstance(fact.value, int) or fact.value <= 0:
        return None
    return line(f"{quantity(fact.value, 'requests')} failed, the first with {fact.evidence}")


def _wrong(readings: Readings) -> str | None:
    fact = readings.fact("serving.answers")
    return fact.evidence if fact is not None and fact.value == "wrong" else None


def _asleep(readings: Readings) -> str | None:
    waited = figure(readings, "health_p50_us", handler="def")
    if waited is None or waited.value <= SLOW_HEALTH_US:
        return None
    return (
        f"/health waits {quantity(waited.value, 'us')} (p50) while {waited.labels.get('clients', '?')} clients call a "
        f"def handler (limit {quantity(SLOW_HEALTH_US, 'us')})"
    )


def _stalled(readings: Readings) -> str | None:
    thread, loop = (number(readings, "health_p50_us", handler=name) for name in ("def", "async def"))
    if not thread or loop is None or loop < STALL * thread:
        return None
    return f"/health waits {quantity(loop, 'us')} (p50) under async def, {quantity(thread, 'us')} under def"


RULES: tuple[Rule, ...] = (
    Rule("TD-SRV-001", _ALL, Verdict.FAIL, Severity.CRITICAL, _not_started, ("TD-SRV-002", "TD-SRV-003")),
    Rule("TD-SRV-002", _ALL, Verdict.FAIL, Severity.CRITICAL, _died, ("TD-SRV-003",)),
    Rule("TD-SRV-003", _ALL, Verdict.FAIL, Severity.CRITICAL, _failed, ("TD-SRV-004",)),
    Rule("TD-SRV-004", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong),
    Rule("TD-SRV-005", _ALL, Verdict.DEGRADED, Severity.WARNING, _asleep, ("TD-SRV-006",)),
    Rule("TD-SRV-006", _ALL, None, Severity.INFO, _stalled),
)


def _served(readings: Readings) -> str | None:
    """It started, every answer was compared, and health checks were answered under load."""
    answers, cold = readings.fact("serving.answers"), number(readings, "cold_start_s")
    first, health = number(readings, "first_inference_us"), number(readings, "health_p50_us", handler="def")
    if answers is None or answers.value != "right" or cold is None or first is None or health is None:
        return None
    called = [quantity(v, "us") for v in (_request(readings, "p50"), _request(readings, "p99")) if v is not None]
    return (
        f"{answers.evidence}; ready after {quantity(cold, 's')}, first inference {quantity(first, 'us')}, "
        f"p50 and p99 {' and '.join(called)}, /health {quantity(health, 'us')} ({text(readings, 'serving.versions')})"
    )


def _request(readings: Readings, share: str) -> float | None:
    return number(readings, f"request_{share}_us", handler="def")


POSITIVE: Positive = {"serving.*": _served}
