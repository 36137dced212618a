"""A rank that ended with 0 while others wait for it still: it left too early, or its last call was not theirs.

In the recording of a shape mismatch on two H200s rank 0 returned at once and ended with 0, rank 1 waited for ever, and
no line names the mismatch. What tells the two apart is whether the one that left had come to the number that the others
wait in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...model import Evidence
from ..wording import collective_words, ranks_words
from .candidate import Candidate, told
from .case import Case, Seen
from .endings import endings
from .postures import pending_collective, posture
from .quiet import AGREE_S, ONE_LOOK, quiet
from .use import spinning


def left_waiting(case: Case) -> Iterator[Candidate]:
    """Candidates where ranks are over with 0 and others are still in a collective."""
    ends = endings(case)
    gone = [end.seen for end in ends if end.part == "clean"]
    waiting = {r: seen for r, seen in case.ranks.items() if seen not in gone and _waits(seen)}
    still = quiet(case)
    if not gone or not waiting or any(end.part in ("own", "unclear") and not end.weak for end in ends):
        return
    if not still.notable and not still.timed_out:
        return
    number = max((n for seen in waiting.values() if (n := waits_in(seen)) is not None), default=None)
    came = {seen.rank: last_called(seen) for seen in gone}
    yield _candidate(case, gone, waiting, number, came, still.timed_out or (still.agree and still.looks_s >= AGREE_S))


def _waits(seen: Seen) -> bool:
    """Whether it is in a collective, or said that it waited in one until it was ended."""
    if any(sign.id in ("watchdog", "watchdog-status", "gloo-timeout") for sign in seen.signs):
        return True
    return seen.alive and (posture(seen).does == "waiting" or spinning(seen))


def waits_in(seen: Seen) -> int | None:
    """The number of the collective that a rank waits in, None if nothing tells."""
    if seen.evidence.flights and (entry := pending_collective(seen.evidence.flights[-1])) is not None:
        return entry.seq
    told_by = [sign.details["seq"] for sign in seen.signs if sign.id == "watchdog" and "seq" in sign.details]
    if told_by:
        return int(told_by[-1])
    progress = seen.evidence.progress
    if progress is not None and progress.enqueued is not None and progress.completed is not None:
        return progress.completed + 1 if progress.completed < progress.enqueued else None
    return None


def last_called(seen: Seen) -> int | None:
    """The number of the last collective that a rank called, as far as it was recorded."""
    if seen.evidence.flights:
        flight = seen.evidence.flights[-1]
        numbers = [entry.seq for entry in flight.entries if not entry.p2p]
        numbers += [status.enqueued for status in flight.groups if status.enqueued is not None]
        return max(numbers, default=None)
    dumped = [s.details["enqueued"] for s in seen.signs if s.details.get("enqueued", "").isdigit()]
    if dumped:
        return int(dumped[-1])
    return None if seen.evidence.progress is None else seen.evidence.progress.enqueued


def _candidate(
    case: Case,
    gone: list[Seen],
    waiting: Mapping[int, Seen],
    number: int | None,
    came: Mapping[int, int | None],
    steady: bool,
) -> Candidate:
    who, peers = tuple(seen.rank for seen in gone), ranks_words(waiting)
    numbers = list(came.values())
    known = number is not None and all(n is not None for n in numbers)
    at = f" in {collective_words('', number)}" if number is not None else ""
    verb = "waits" if len(waiting) == 1 else "wait"
    evidence = tuple(_evidence(gone, waiting, number, came))
    if known and all(n is not None and number is not None and n >= number for n in numbers):
        return Candidate(
            cause="wrong-shape",
            ranks=tuple(sorted({*who, *waiting})),
            strength="returned",
            line=f"{ranks_words(who)} had come to {collective_words('', number)} too and ended with exit code 0, "
            f"{peers} {verb} in it still: their sizes differ",
            doubt="the sizes were not recorded, and of so few nobody can tell which is wrong",
            evidence=evidence,
        )
    doubt = "" if known else "it may have called it with another size: nothing is recorded of its last call"
    if not steady:
        doubt = doubt or ONE_LOOK
    elif 2 * len(who) > len(case.ranks):
        doubt = doubt or "most ranks ended well"
    return Candidate(
        cause="returned-early",
        ranks=who,
        strength="returned",
        what=f"ended with exit code 0 while {peers} {verb} for it{at}",
        sure=not doubt,
        doubt=doubt,
        evidence=evidence,
    )


def _evidence(
    gone: list[Seen], waiting: Mapping[int, Seen], number: int | None, came: Mapping[int, int | None]
) -> Iterator[Evidence]:
    for seen in gone[:8]:
        last = came.get(seen.rank)
        called = "unrecorded" if last is None else f"#{last}"
        yield told("exit", f"rank {seen.rank} on {seen.host}: exit code 0, its last collective {called}")
    where = collective_words("", number) if number is not None else "a collective"
    for rank, seen in list(waiting.items())[:8]:
        said = next((s.text for s in seen.signs if s.id == "watchdog"), "")
        yield told("log" if said else "flight", f"rank {rank}: {said or f'waits in {where}'}")
