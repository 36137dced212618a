"""Whether anything of a job moves, how long nothing has, and what that is worth.

A slow rank looks like a hung one for as long as it is slow. So nothing is sure that rests on silence alone, unless two
looks agree, the rank that all wait for uses neither CPU nor disk, and the silence is far longer than any step was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ...rank_evidence import Flight, NodeEvidence, Stack
from ..signs import PATTERNS
from .case import Case, Seen
from .postures import frames_of, pending_collective
from .use import idle

AGREE_S: Final = 2.0
"""Two looks that are nearer to each other do not count as two."""

NEAR_S: Final = 0.4
"""Two looks at what does not move by itself (a stopped process, a recorded operation) may be this near."""

LEAST_SILENCE_S: Final = 90.0
STEPS: Final = 20
"""A silence says something by itself from a minute and a half on (sound jobs pause for a minute, at a compile or a
slow disk), and from 20 of the longest steps on. The timeout of a group says nothing of it: gloo's is half an hour."""

ONE_LOOK: Final = "one look only so far"

FEW_STEPS: Final = 3
LEAST_QUIET_S: Final = 2.0
"""Before this much, and before three of the longest steps, nobody is even said to wait for another; a watcher that
nobody asked waits longer (`NodeEvidence.patience_s`), for a checkpoint or an evaluation is no alarm."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """How still a job is. `seconds` is how long at least nothing has moved, None if nothing tells.

    `moves` says that something did between the looks. `agree` says that two looks, `looks_s` apart, found the same.
    `timeout_s` is the process group's, `timed_out` that ranks ran into it: a silence that torch itself measured.
    `patience_s` is how long nothing must have moved before that is worth saying; `rest` says that no living rank used
    CPU, disk or GPU between the looks.
    """

    seconds: float | None
    moves: bool
    agree: bool
    looks_s: float
    longest_step_s: float | None = None
    timeout_s: float | None = None
    timed_out: bool = False
    patience_s: float = 0.0
    rest: bool = False

    @property
    def limit_s(self) -> float:
        """From which silence on it is more than slowness."""
        steps = STEPS * self.longest_step_s if self.longest_step_s else 0.0
        return max(LEAST_SILENCE_S, steps)

    @property
    def long(self) -> bool:
        """Whether the silence is longer than any slowness that is known here."""
        return self.timed_out or (self.seconds is not None and self.seconds >= self.limit_s)

    @property
    def notable(self) -> bool:
        """Whether it is worth saying that somebody waits."""
        if self.moves:
            return False
        if self.timed_out:
            return True
        least = max(LEAST_QUIET_S, FEW_STEPS * (self.longest_step_s or 0.0), self.patience_s)
        if self.seconds is None:
            return (self.agree or self.rest) and not self.patience_s
        return self.seconds >= least

    @property
    def untold(self) -> bool:
        """Whether a person asks, and nothing tells how long it has been still."""
        return self.seconds is None and not self.moves and not self.patience_s

    @property
    def words(self) -> str:
        """`no progress for 14 s`, or what two looks say."""
        if self.timed_out:
            return "peers waited in vain for as long as the process group's timeout" + (
                f" of {self.timeout_s:.0f} s" if self.timeout_s else ""
            )
        if self.seconds is not None:
            return f"no progress for {self.seconds:.0f} s"
        return f"no progress between two looks {self.looks_s:.1f} s apart"


@lru_cache(maxsize=1)
def quiet(case: Case) -> Quiet:
    """How still the living ranks of a job are; where all are over, how still they were."""
    alive = [seen for seen in case.ranks.values() if seen.alive] or list(case.ranks.values())
    looks = max((node.looks_s for node in case.answering), default=0.0)
    pairs = [verdict for seen in alive if (verdict := same_place(seen)) is not None]
    ages = [age for seen in alive if (age := since_moved(seen)) is not None]
    pending = [age for seen in alive if (age := _pending_s(seen)) is not None]
    steps = [p.longest_step_s or p.step_s for s in case.ranks.values() if (p := s.evidence.progress) is not None]
    timed_out = _timed_out(case)
    agree = bool(pairs) and all(pairs)
    watched = max((node.still_s or 0.0 for node in case.answering), default=0.0)
    told = min(ages) if ages else min(pending) if pending else None
    rest = bool(alive) and all(idle(seen) for seen in alive)
    stood = looks if agree else watched if rest else 0.0
    seconds = max(stood, watched) or None if told is None and (agree or rest) else told
    moved = any(same is False for same in (advanced(seen) for seen in alive))
    step = max((s for s in steps if s), default=None)
    moves = moved or (bool(ages) and min(ages) < max(LEAST_QUIET_S, FEW_STEPS * (step or 0.0)) and not timed_out)
    return Quiet(
        seconds=seconds,
        moves=moves,
        agree=agree,
        looks_s=looks,
        longest_step_s=step,
        timeout_s=_timeout_s(case),
        timed_out=timed_out,
        rest=rest,
        patience_s=0.0 if any(seen.end is not None for seen in case.ranks.values()) else case.patience_s,
    )


def since_moved(seen: Seen) -> float | None:
    """Seconds since a watched rank told of anything new, up to its end; None if nobody watched it."""
    progress, node = seen.evidence.progress, seen.node
    if progress is None or not progress.moved_ns or not node.m_ns:
        return None
    last_ns = seen.end.m_ns if seen.end is not None and seen.end.m_ns else node.m_ns
    return max(0.0, (last_ns - progress.moved_ns) / 1e9)


def _pending_s(seen: Seen) -> float | None:
    """Seconds that its oldest open operation has been open."""
    if not seen.evidence.flights:
        return None
    flight = seen.evidence.flights[-1]
    entry = pending_collective(flight)
    if entry is None or not entry.created_ns:
        return None
    return max(0.0, (flight.t_ns - entry.created_ns) / 1e9)


def advanced(seen: Seen) -> bool | None:
    """False if its recorder came on between the looks, True if it stood, None if there are not two."""
    flights = seen.evidence.flights
    if len(flights) < 2 or flights[-1].t_ns <= flights[0].t_ns:
        return None
    return _counts(flights[0]) == _counts(flights[-1])


def same_place(seen: Seen) -> bool | None:
    """Whether two looks found a rank at one place, by its recorder and its stack; None if nothing was seen twice."""
    told = [same for same in (advanced(seen), _same_stack(seen.evidence.stacks)) if same is not None]
    return all(told) if told else None


def _counts(flight: Flight) -> tuple[tuple[str, int | None, int | None, int | None], ...]:
    last = flight.entries[-1].seq if flight.entries else None
    return (*((g.group, g.enqueued, g.completed, None) for g in flight.groups), ("", None, None, last))


def _same_stack(stacks: tuple[Stack, ...]) -> bool | None:
    if len(stacks) < 2:
        return None
    return frames_of(stacks[0]) == frames_of(stacks[-1])


def _timed_out(case: Case) -> bool:
    """Whether ranks say that they waited as long as they may, and nobody went away instead."""
    waited = [s for s in _victims(case) if PATTERNS[s].tells in ("waited", "waited-init")]
    closed = [s for s in _victims(case) if PATTERNS[s].tells == "closed"]
    return bool(waited) and len(waited) >= len(closed)


def _victims(case: Case) -> Iterable[str]:
    return [sign.id for seen in case.ranks.values() for sign in seen.signs if sign.victim and sign.id in PATTERNS]


def _timeout_s(case: Case) -> float | None:
    told = [
        entry.timeout_ms / 1e3
        for seen in case.ranks.values()
        for flight in seen.evidence.flights[-1:]
        for entry in flight.entries[-1:]
        if entry.timeout_ms
    ]
    told += [
        int(sign.details["ms"]) / 1e3
        for seen in case.ranks.values()
        for sign in seen.signs
        if sign.details.get("ms", "").isdigit()
    ]
    return max(told, default=None)


def near(node: NodeEvidence) -> bool:
    """Whether its looks are far enough apart for what does not move by itself."""
    return node.looks_s >= NEAR_S
