"""Ranks that live still, and whose last words say that they are about to end.

An interpreter takes half a second to end after what it raised (measured 0.62 s), on a busy node far longer: the log
tells first. It is never sure, for a program may have caught what it prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...rank_evidence import Sign
from ..wording import ranks_words
from .candidate import Candidate, told
from .case import Case, Seen
from .crashes import short, what_raised
from .endings import endings, role
from .quiet import advanced, since_moved

FRESH_S: Final = 30.0
"""What a rank said longer ago, and lived, it has caught."""

_LAST_LINES: Final = 6
_AFTER_S: Final = 1.0
"""A beat may come this late: movement that near to a word says nothing against it."""


def fresh_word(seen: Seen) -> Sign | None:
    """The last exception or complaint of a living rank, unless it went on since, or said it long ago."""
    weighty = [sign for sign in seen.signs if role(sign) in ("own", "victim") and sign.exception]
    if not seen.alive or not weighty or advanced(seen) is False:
        return None
    word = weighty[-1]
    if not word.t_ns:
        lines = [line for line in seen.evidence.tail[-_LAST_LINES:] if line.strip()]
        return word if any(word.exception[:80] in line for line in lines) else None
    age_s, moved_s = (seen.node.t_ns - word.t_ns) / 1e9, since_moved(seen)
    went_on = moved_s is not None and moved_s < age_s - _AFTER_S
    return None if went_on or age_s > FRESH_S else word


def raising(case: Case) -> Iterator[Candidate]:
    """The first rank that raised by its own fault and has not ended yet."""
    if any(end.part == "own" and not end.weak for end in endings(case)) or case.stop_ns:
        return
    words = {rank: word for rank, seen in case.ranks.items() if (word := fresh_word(seen)) is not None}
    own = sorted((case.ranks[r].wall(w.t_ns), r) for r, w in words.items() if role(w) == "own")
    if not own:
        return
    first = case.ranks[own[0][1]]
    word = words[first.rank]
    group = [rank for _, rank in own if (words[rank].exception, words[rank].site) == (word.exception, word.site)]
    cause, what = what_raised(first, word)
    yield Candidate(
        cause=cause,
        ranks=tuple(sorted(group)),
        strength="raising",
        what=what,
        site=word.site,
        t_ns=own[0][0],
        doubt="it has not ended yet",
        evidence=tuple(told("log", f"rank {rank}: {w.exception or w.text}") for rank, w in sorted(words.items())[:8]),
    )


def suffering(case: Case) -> Iterator[Candidate]:
    """Living ranks that lost a peer, where nobody is known yet whose fault that is."""
    words = {rank: word for rank, seen in case.ranks.items() if (word := fresh_word(seen)) is not None}
    hurt = {rank: word for rank, word in words.items() if role(word) == "victim"}
    if not hurt:
        return
    first = next(iter(hurt.values()))
    yield Candidate(
        cause="unknown",
        ranks=(),
        strength="unknown",
        line=f"{ranks_words(hurt)} lost a peer: {short(first)}",
        doubt="nobody has ended yet",
        evidence=tuple(told("log", f"rank {rank}: {word.text}") for rank, word in sorted(hurt.items())[:8]),
    )
