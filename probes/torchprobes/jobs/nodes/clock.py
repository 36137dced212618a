"""How far another host's wall clock is from ours, from stamps that crossed between them.

Each stamp of theirs lies between two moments of ours: it was written after we sent what it answers, and before we
had it. So the offset `o` that is to be added to their clock obeys `sent <= there + o <= received`. Every exchange
narrows the interval; its middle is the offset and half of its width the error. With one exchange this is NTP's
formula (RFC 5905, section 8: offset the mean of both differences, error half of the round trip, less the time that
the other side spent); many exchanges can only be better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """A stamp of theirs and the moments of ours around it, wall clock in ns; None where a side is not bounded."""

    there_ns: int
    sent_ns: int | None = None
    received_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Offset:
    """What is to be added to their clock to get ours, and within what; `error_ns` is None where nobody knows."""

    offset_ns: int = 0
    error_ns: int | None = None


UNKNOWN = Offset()


def offset_of(exchanges: Iterable[Exchange]) -> Offset:
    """The offset that all exchanges allow; UNKNOWN where a side is unbounded, or a clock was set in between."""
    lower, upper = None, None
    for exchange in exchanges:
        if exchange.sent_ns is not None:
            low = exchange.sent_ns - exchange.there_ns
            lower = low if lower is None else max(lower, low)
        if exchange.received_ns is not None:
            high = exchange.received_ns - exchange.there_ns
            upper = high if upper is None else min(upper, high)
    if lower is None or upper is None or lower > upper:
        return UNKNOWN
    return Offset((lower + upper) // 2, (upper - lower + 1) // 2)
