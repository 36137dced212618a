"""Ranks that the kernel holds: stopped, frozen, or asleep where no signal reaches them."""

from __future__ import annotations

from collections.abc import Iterator

from ...model import Evidence
from .candidate import Candidate, told
from .case import Case, Seen
from .postures import Posture, posture
from .quiet import AGREE_S, NEAR_S, quiet


def held(case: Case) -> Iterator[Candidate]:
    """Candidates from the state that the kernel gives."""
    postures = {rank: posture(seen, last=True) for rank, seen in case.ranks.items()}
    stopped = [rank for rank, one in postures.items() if one.does == "stopped" and _counts(case.ranks[rank])]
    if stopped:
        yield _stopped(case, stopped, postures)
    blocked = [rank for rank, one in postures.items() if one.does == "blocked" and _counts(case.ranks[rank])]
    patient = min((case.ranks[rank].node.looks_s for rank in blocked), default=0.0) >= case.patience_s
    if blocked and (patient or quiet(case).notable):
        yield _blocked(case, blocked, postures)


def _counts(seen: Seen) -> bool:
    """A rank that has ended by itself was not held by anything."""
    return seen.end is None or seen.end.signal in ("SIGKILL", "SIGTERM")


def _stopped(case: Case, ranks: list[int], postures: dict[int, Posture]) -> Candidate:
    seen = [case.ranks[rank] for rank in ranks]
    agree = all(_twice_stopped(one) for one in seen) and all(one.node.looks_s >= NEAR_S for one in seen)
    first = postures[ranks[0]]
    return Candidate(
        cause="stopped",
        ranks=tuple(ranks),
        strength="stopped",
        what=f"{'is' if len(ranks) == 1 else 'are'} stopped: {first.why}",
        site=first.site,
        sure=agree,
        doubt="" if agree else "it was seen stopped once only",
        evidence=tuple(_look(case.ranks[rank], postures[rank]) for rank in ranks[:16]),
    )


def _twice_stopped(seen: Seen) -> bool:
    looks = [look for look in seen.evidence.processes if look.state not in ("gone", "Z", "X")]
    return len(looks) > 1 and all(look.state in ("T", "t") or look.frozen for look in looks[-2:])


def _look(seen: Seen, does: Posture) -> Evidence:
    states = ", ".join(look.state or "unread" for look in seen.evidence.processes[-2:])
    return told("process", f"rank {seen.rank}: state {states}, {does.why}")


def _blocked(case: Case, ranks: list[int], postures: dict[int, Posture]) -> Candidate:
    seen = [case.ranks[rank] for rank in ranks]
    apart = min(one.node.looks_s for one in seen)
    slept = all(_never_woke(one) for one in seen)
    doubt = "" if apart >= AGREE_S and slept else "it may be slow input or output only"
    first = postures[ranks[0]]
    place = f" in {first.why}" if first.why not in ("", "0") else ""
    return Candidate(
        cause="blocked-io",
        ranks=tuple(ranks),
        strength="blocked",
        what=f"{'is' if len(ranks) == 1 else 'are'} in uninterruptible sleep{place}, for {apart:.1f} s at least",
        site=first.site,
        sure=not doubt,
        doubt=doubt,
        evidence=tuple(_look(case.ranks[rank], postures[rank]) for rank in ranks[:16]),
    )


def _never_woke(seen: Seen) -> bool:
    before, last = seen.evidence.processes[-2:]
    return before.switches is not None and before.switches == last.switches
