"""A rank that always comes last: by arrival at collectives, for under DDP all step times are equal.

Measured (reference 4.7): 20 ms put in on one rank give a median lag of 20.18 ms, last in 182 of 182; the others 0.2 ms.
An arrival is the time of the call on the rank's host. A GPU works behind its host, so that a rank whose GPU alone is
slow is late only once its host waits for it: at a sync, a full queue, the next step.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from .candidate import Candidate, told
from .case import Case
from .quiet import quiet

LEAST_COLLECTIVES: Final = 50
LEAST_SHARE: Final = 0.02
"""A rank is late from 2 % of a step on."""

LEAST_SHARE_OF_INTERVAL: Final = 0.1
"""Where no step is known, the time between two collectives stands for it: a step may have many of them."""

MOSTLY: Final = 0.6
NEARLY_ALWAYS: Final = 0.8
LEAST_LAG_S: Final = 1e-3
BY_CHANCE: Final = 1e-5
"""No rank is named that equal ones would seem to be as late by chance, at one look, more often than this."""

OTHERS: Final = 3.0
"""How many times later than the next latest it must be: noise makes one rank last, but not by much."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How late one rank comes: median lag behind the first, seconds, and in which share of `n` collectives it is last.

    `span_s` is the time between the first and the last of these.
    """

    lag_s: float
    last_share: float
    n: int
    span_s: float


def stragglers(case: Case) -> Iterator[Candidate]:
    """The rank that makes the others wait, of a job that goes on."""
    if not all(seen.alive for seen in case.ranks.values()) or len(case.ranks) < 2:
        return
    lags, interval_s = _recorded(case)
    if not lags:
        lags, interval_s = _told(case), None
    steps = [p.step_s for s in case.ranks.values() if (p := s.evidence.progress) is not None and p.step_s]
    step_s = median(steps) if steps else interval_s
    share = LEAST_SHARE if steps else LEAST_SHARE_OF_INTERVAL
    if len(lags) < 2 or step_s is None or (quiet(case).notable and not quiet(case).moves):
        return
    ordered = sorted(lags, key=lambda rank: -lags[rank].lag_s)
    worst, next_s = ordered[0], lags[ordered[1]].lag_s
    found = lags[worst]
    late = found.lag_s >= max(share * step_s, LEAST_LAG_S, OTHERS * next_s)
    if late and found.n >= LEAST_COLLECTIVES and found.last_share > MOSTLY:
        looks = min(found.n, int(found.span_s / step_s) + 1)
        if by_chance(found.last_share, looks, len(lags)) < BY_CHANCE:
            yield _candidate(case, worst, lags, step_s)


def by_chance(last_share: float, looks: int, ranks: int) -> float:
    """At most how probable it is that one of so many equal ranks is last in this share of independent looks.

    A step counts as one look, however many collectives it makes: who comes late to the first comes late to all. The
    bound is that of Chernoff for the tail of a binomial: exp(-n KL(share, 1/ranks)).
    """
    chance, share = 1.0 / ranks, min(last_share, 1.0)
    if share <= chance:
        return 1.0
    apart = share * math.log(share / chance)
    if share < 1.0:
        apart += (1.0 - share) * math.log((1.0 - share) / (1.0 - chance))
    return min(1.0, ranks * math.exp(-looks * apart))


def _candidate(case: Case, rank: int, lags: Mapping[int, Lag], step_s: float) -> Candidate:
    found = lags[rank]
    clocks = max((case.error_ns(case.ranks[rank].node, seen.node) for seen in case.ranks.values()), default=0) / 1e9
    one_host = len({seen.host for seen in case.ranks.values()}) == 1
    doubt = ""
    if not one_host and found.lag_s <= clocks:
        doubt = f"the clocks of its hosts may differ by {clocks * 1e3:.0f} ms"
    elif found.last_share < NEARLY_ALWAYS:
        doubt = f"it is last in {found.last_share:.0%} only"
    return Candidate(
        cause="straggler",
        ranks=(rank,),
        strength="straggler",
        what=f"comes {found.lag_s * 1e3:.1f} ms late to collectives ({found.lag_s / step_s:.0%} of a step), "
        f"last in {found.last_share:.0%} of {found.n}",
        sure=not doubt,
        doubt=doubt,
        evidence=tuple(
            told(
                "flight",
                f"rank {r}: its host calls a collective {one.lag_s * 1e3:.2f} ms after the first (median), "
                f"last in {one.last_share:.0%} of {one.n}",
            )
            for r, one in sorted(lags.items(), key=lambda item: -item[1].lag_s)[:8]
        ),
    )


def _told(case: Case) -> dict[int, Lag]:
    """What a watcher measured over the last collectives."""
    found = {}
    for rank, seen in case.ranks.items():
        progress = seen.evidence.progress
        if progress is not None and progress.lag_s is not None and progress.last_share is not None:
            found[rank] = Lag(
                progress.lag_s, progress.last_share, progress.lag_calls or 0, progress.lag_span_s or 0.0
            )  # fmt: skip
    return found if len(found) == len(case.ranks) else {}


def _recorded(case: Case) -> tuple[dict[int, Lag], float | None]:
    """From the times at which all ranks called the same operations, on one clock."""
    times: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
    for rank, seen in case.ranks.items():
        for entry in seen.evidence.flights[-1].entries if seen.evidence.flights else ():
            if entry.created_ns and not entry.p2p:
                times[entry.group, entry.seq][rank] = seen.wall(entry.created_ns)
    shared = [by for _, by in sorted(times.items()) if len(by) == len(case.ranks)][-200:]
    if len(shared) < LEAST_COLLECTIVES:
        return {}, None
    return behind_first(shared), _interval_s(shared)


def behind_first(shared: Sequence[Mapping[int, int]]) -> dict[int, Lag]:
    """How late each rank comes, from the times (ns) by rank of operations that all of them called."""
    behind: dict[int, list[float]] = defaultdict(list)
    last: Counter[int] = Counter()
    for by in shared:
        first = min(by.values())
        for rank, t_ns in by.items():
            behind[rank].append((t_ns - first) / 1e9)
        last[max(by, key=lambda rank: by[rank])] += 1
    firsts = [min(by.values()) for by in shared]
    span_s = (max(firsts) - min(firsts)) / 1e9 if firsts else 0.0
    n = len(shared)
    return {rank: Lag(median(lags), last[rank] / n, n, span_s) for rank, lags in behind.items()}


def _interval_s(shared: Sequence[Mapping[int, int]]) -> float | None:
    """The median time from one collective to the next: a step has one at least."""
    firsts = sorted(min(by.values()) for by in shared)
    between = [(b - a) / 1e9 for a, b in pairwise(firsts) if b > a]
    return median(between) if between else None
