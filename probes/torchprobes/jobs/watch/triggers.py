"""When to look closely: pure rules over what each rank does, in monotonic nanoseconds.

A look is cheap for the ranks (nothing in it stops one), and a verdict needs more than a trigger: so these rules rather
look once too often than once too late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

SECOND: Final = 1_000_000_000

QUIET_S: Final = 10.0
"""So long without progress of any rank, while somebody waits, and it is looked closely."""

LONGEST_QUIET_S: Final = 120.0
STEPS: Final = 3.0
"""A job whose steps are long is given this many of its longest step."""

LOOKS_S: Final = (5.0, 15.0, 30.0, 60.0)
"""Between one look at a job that stands still and the next; the last one repeats."""

BEFORE_TIMEOUT_S: Final = 20.0
"""So long before a process group gives up its launcher is about to end everybody (pytorch 122694)."""

IDLE_SHARE: Final = 0.05
"""Below this share of a core a process computes nothing."""

COLD: Final = 0.35
"""A GPU that is busy at less than this share of its power limit waits in a collective (measured: 130 of 700 W)."""

BUSY_PERCENT: Final = 90.0


class Pulse(NamedTuple):
    """One living rank at one instant. `cpu_share` is of one core, over the last seconds; None is unread.

    `told` says that its events tell of its way, `pending` that it has collectives which are not complete.
    """

    moved_ns: int = 0
    log_ns: int = 0
    told: bool = False
    pending: bool = False
    cpu_share: float | None = None
    gpu_percent: float | None = None
    gpu_power_share: float | None = None
    longest_step_s: float | None = None
    pending_ns: int = 0
    timeout_s: float | None = None

    @property
    def waits(self) -> bool:
        """Whether it seems to wait for somebody."""
        idle = self.cpu_share is not None and self.cpu_share < IDLE_SHARE
        cold = (
            self.gpu_percent is not None
            and self.gpu_percent >= BUSY_PERCENT
            and self.gpu_power_share is not None
            and self.gpu_power_share < COLD
        )
        return self.pending or idle or cold


class Stillness:
    """Whether a job stands still, look by look. `since_ns` is when it last went on, 0 while it goes on."""

    def __init__(self, begin_ns: int) -> None:
        self.since_ns = 0
        self.looks = 0
        self._begin_ns = begin_ns
        self._next_ns = 0
        self._timeout_told_ns = 0

    @property
    def still(self) -> bool:
        """Whether it stands still now."""
        return self.since_ns > 0

    def due(self, pulses: Sequence[Pulse], now_ns: int) -> str:
        """Why to look closely now, "" if there is no reason."""
        last = max((max(p.moved_ns, p.log_ns) for p in pulses), default=0) or self._begin_ns
        if not pulses or not self._stands(pulses, last, now_ns):
            self.since_ns = self.looks = 0
            return self._near_timeout(pulses, now_ns)
        if not self.still:
            self.since_ns, self._next_ns = last, now_ns
        if now_ns < self._next_ns:
            return self._near_timeout(pulses, now_ns)
        gap = LOOKS_S[min(self.looks, len(LOOKS_S) - 1)]
        self.looks += 1
        self._next_ns = now_ns + int(gap * SECOND)
        return f"no progress of any rank for {(now_ns - last) / SECOND:.0f} s"

    def _stands(self, pulses: Sequence[Pulse], last: int, now_ns: int) -> bool:
        longest = max((p.longest_step_s or 0.0 for p in pulses), default=0.0)
        patience = min(LONGEST_QUIET_S, max(QUIET_S, STEPS * longest))
        return now_ns - last >= patience * SECOND and any(p.waits for p in pulses)

    def _near_timeout(self, pulses: Sequence[Pulse], now_ns: int) -> str:
        """A collective that is about to time out: looked at once each."""
        for pulse in pulses:
            if not pulse.pending_ns or not pulse.timeout_s or pulse.pending_ns == self._timeout_told_ns:
                continue
            patience = max(pulse.timeout_s - BEFORE_TIMEOUT_S, pulse.timeout_s / 2)
            waited = (now_ns - pulse.pending_ns) / SECOND
            if waited >= patience:
                self._timeout_told_ns = pulse.pending_ns
                return f"a collective that waits for {waited:.0f} s times out after {pulse.timeout_s:.0f} s"
        return ""
