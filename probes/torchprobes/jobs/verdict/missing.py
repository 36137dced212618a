"""Hangs: ranks that wait, and the one that they wait for, by every source that tells it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ...model import Evidence
from ...rank_evidence import RasCommunicator, Sign
from ..signs import PATTERNS
from ..wording import collective_words, op_words, ranks_words
from .candidate import Candidate, told
from .case import Case, Seen
from .coming import Wait, roots, waits
from .endings import endings
from .postures import Posture, posture
from .quiet import AGREE_S, ONE_LOOK, Quiet, quiet
from .suspects import accuse
from .use import idle, spinning

_IN_COLLECTIVE: Final = "hung-in-collective"
_BEFORE_INIT: Final = "hung-before-init"


def by_record(case: Case) -> Iterator[Candidate]:
    """By sequence numbers: those that have come to number n wait for those that have not."""
    still = quiet(case)
    found = tuple(wait for wait in waits(case) if wait.missing or wait.untold)
    if not found or not still.notable:
        return
    blamed, circle = roots(found)
    suspects = tuple(rank for rank in blamed if not _left(case, rank))
    if not suspects:
        return
    if circle:
        yield _circle(case, still, found, suspects)
        return
    first = next((wait for wait in found if set(suspects) & {*wait.missing, *wait.untold}), found[0])
    evidence = [_wait_words(wait) for wait in found[:8]]
    yield accuse(case, still, suspects, first.waiters, first.words, _IN_COLLECTIVE, "missing-flight", evidence)


def _left(case: Case, rank: int) -> bool:
    """Whether it is over by itself: then it is no hang, and another rule tells."""
    seen = case.ranks.get(rank)
    if seen is None or seen.end is None:
        return False
    return next((end.part in ("own", "clean", "unclear") for end in endings(case) if end.seen is seen), False)


def _wait_words(wait: Wait) -> Evidence:
    by_number: dict[int, list[int]] = defaultdict(list)
    for rank, number in wait.came.items():
        by_number[number].append(rank)
    came = "; ".join(f"{ranks_words(ranks)} called #{number} last" for number, ranks in sorted(by_number.items())[:8])
    lacking = f"; nothing is recorded of {ranks_words(wait.untold)}" if wait.untold else ""
    return told(wait.by, f"{ranks_words(wait.waiters)} in {wait.words}: {came}{lacking}")


def _circle(case: Case, still: Quiet, found: Sequence[Wait], suspects: tuple[int, ...]) -> Candidate:
    """Ranks that wait for each other in different groups: nothing can end that, however long it lasts."""
    texts = [f"{ranks_words(w.waiters)} in {w.words} for {ranks_words(w.missing or w.untold)}" for w in found[:4]]
    agreed = still.agree and still.looks_s >= AGREE_S
    return Candidate(
        cause="wrong-order",
        ranks=suspects,
        strength="mismatch",
        line=f"{still.words}: ranks wait for each other: {'; '.join(texts)}",
        sure=agreed,
        doubt="" if agreed else ONE_LOOK,
        evidence=tuple(_wait_words(wait) for wait in found[:8]),
    )


# --- what lines of logs name ---


def by_names(case: Case) -> Iterator[Candidate]:
    """Ranks that peers name as missing, and ranks whose watchdog tells a smaller number than that of others."""
    still = quiet(case)
    for cause, tells in ((_BEFORE_INIT, "waited-init"), (_IN_COLLECTIVE, "waited")):
        votes: dict[int, set[int]] = defaultdict(set)
        said: list[tuple[Seen, Sign]] = []
        for seen in case.ranks.values():
            for sign in seen.signs:
                if sign.ranks and sign.victim and sign.id in PATTERNS and PATTERNS[sign.id].tells == tells:
                    said.append((seen, sign))
                    for rank in sign.ranks:
                        votes[rank].add(seen.rank)
        if votes:
            yield _named(case, still, cause, votes, said)
    yield from _by_watchdog(case, still)


def _named(
    case: Case, still: Quiet, cause: str, votes: Mapping[int, set[int]], said: Sequence[tuple[Seen, Sign]]
) -> Candidate:
    """By what most say. One that is named and itself names another waits in its turn."""
    speakers = {seen.rank for seen, _ in said}
    named = {rank: by for rank, by in votes.items() if rank not in speakers} or dict(votes)
    most = max(len(by) for by in named.values())
    suspects = tuple(sorted(rank for rank, by in named.items() if len(by) == most))
    evidence = [told("log", f"rank {seen.rank}: {sign.text}") for seen, sign in said[:8]]
    where = "init" if cause == _BEFORE_INIT else "a collective"
    waiters = sorted(speakers - set(suspects))
    agreed = all(set(suspects) <= set(sign.ranks) for seen, sign in said if seen.rank in waiters)
    others = not agreed or len(named) > len(suspects)
    return _by_text(case, still, suspects, waiters, where, cause, evidence, others)


def _by_text(
    case: Case,
    still: Quiet,
    suspects: tuple[int, ...],
    waiters: Sequence[int],
    where: str,
    cause: str,
    evidence: Sequence[Evidence],
    others: bool,
) -> Candidate:
    """A wait that its victims told of when it was over: they measured the silence, each for itself."""
    found = accuse(case, still, suspects, waiters, where, cause, "missing-named", evidence, proof=True)
    doubt = ""
    if others:
        doubt = "other lines name other ranks"
    elif len(waiters) < 2 and len(case.ranks) > 2:
        doubt = "one rank alone says so"
    elif not still.timed_out or any(idle(case.ranks[rank]) is False for rank in suspects if rank in case.ranks):
        doubt = found.doubt
    return Candidate(
        cause=found.cause, ranks=found.ranks, strength=found.strength, line=found.line, site=found.site,
        sure=not doubt, doubt=doubt, evidence=found.evidence,
    )  # fmt: skip


def _by_watchdog(case: Case, still: Quiet) -> Iterator[Candidate]:
    """NCCL's watchdogs, one a rank, print the number that their rank launched last."""
    last: dict[int, int] = {}
    lines: dict[int, Sign] = {}
    for rank, seen in case.ranks.items():
        for sign in seen.signs:
            if sign.id in ("watchdog-status", "watchdog-dump") and sign.details.get("enqueued", "").isdigit():
                last[rank], lines[rank] = int(sign.details["enqueued"]), sign
    if len(last) < 2 or len(set(last.values())) < 2:
        return
    suspects = tuple(sorted(rank for rank, number in last.items() if number == min(last.values())))
    waiters = sorted(set(last) - set(suspects))
    number = max(last.values())
    waits = [s.details for r in waiters for s in case.ranks[r].signs if s.id == "watchdog"]
    op = next((op_words(d.get("op", "")) for d in waits if d.get("seq") == str(number)), "")
    evidence = [told("log", f"rank {rank}: {sign.text}") for rank, sign in sorted(lines.items())[:8]]
    where = collective_words(op, number)
    yield _by_text(case, still, suspects, waiters, where, _IN_COLLECTIVE, evidence, others=False)


# --- NCCL RAS ---


def by_counts(case: Case) -> Iterator[Candidate]:
    """By the numbers of operations that RAS says were launched: the same at two looks, and smaller on some ranks."""
    still = quiet(case)
    for node in case.answering:
        if not node.ras:
            continue
        apart = (node.ras[-1].t_ns - node.ras[0].t_ns) / 1e9
        before = {one.id: one for one in node.ras[0].communicators}
        for last in node.ras[-1].communicators:
            found = _behind(last)
            standing = apart >= 0.4 and last.id in before and _behind(before[last.id]) == found
            if found is None or still.moves or not (standing or still.notable):
                continue
            suspects, waiters, op = found
            if any(_left(case, rank) for rank in suspects):
                continue
            evidence = list(_counts_words(last))
            yield accuse(case, still, suspects, waiters, op, _IN_COLLECTIVE, "missing-ras", evidence)
            return


def _behind(communicator: RasCommunicator) -> tuple[tuple[int, ...], tuple[int, ...], str] | None:
    """Ranks that gave no answer, else those that launched fewest of the operation that not all launched as often."""
    ranks = communicator.ranks
    if communicator.missing and ranks:
        return communicator.missing, tuple(one.rank for one in ranks if one.rank not in communicator.missing), "NCCL"
    for op in sorted({name for one in ranks for name in one.counts}):
        counts = {one.rank: one.counts.get(op, 0) for one in ranks}
        least, most = min(counts.values()), max(counts.values())
        if least < most:
            behind = tuple(sorted(rank for rank, count in counts.items() if count == least))
            times = "once" if most == 1 else f"{most} times"
            return behind, tuple(sorted(set(counts) - set(behind))), f"{op_words(op)} (launched {times})"
    return None


def _counts_words(communicator: RasCommunicator) -> Iterator[Evidence]:
    for one in communicator.ranks[:16]:
        counts = ", ".join(f"{op_words(name)} {number} times" for name, number in sorted(one.counts.items()) if number)
        yield told("ras", f"rank {one.rank} (pid {one.pid or '?'}) launched {counts or 'nothing'}")
    for complaint in communicator.complaints[:4]:
        yield told("ras", complaint)


# --- what is left: stacks, and what the processes use ---


def by_stacks(case: Case) -> Iterator[Candidate]:
    """Ranks that stand in a collective or at init, and those that stand elsewhere."""
    still = quiet(case)
    alive = {rank: posture(seen) for rank, seen in case.ranks.items() if seen.alive}
    by_op: dict[str, list[int]] = defaultdict(list)
    for rank, one in alive.items():
        if one.does in ("waiting", "initialising") and one.by != "flight":
            by_op[one.does].append(rank)
    waiting = [rank for ranks in by_op.values() for rank in ranks]
    others = [rank for rank, one in alive.items() if rank not in waiting and one.does not in ("unknown", "waiting")]
    lost = [rank for rank in case.unseen if waiting]
    if not still.notable or not waiting:
        return
    if others or lost:
        inside = alive[waiting[0]]
        cause = _BEFORE_INIT if inside.does == "initialising" else _IN_COLLECTIVE
        where = "init" if cause == _BEFORE_INIT else inside.op or "a collective"
        suspects = others or lost
        yield accuse(case, still, suspects, waiting, where, cause, "missing-stack", _stack_words(alive))
        return
    yield from _other_calls(case, still, alive)


def _stack_words(alive: Mapping[int, Posture]) -> list[Evidence]:
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for rank, one in alive.items():
        groups[one.does, one.op, one.site].append(rank)
    ordered = sorted(groups.items(), key=lambda item: len(item[1]))
    return [
        told("stack", f"{ranks_words(ranks)}: {' '.join(p for p in (does, op) if p)}" + (f" at {site}" if site else ""))
        for (does, op, site), ranks in ordered[:8]
    ]


def _other_calls(case: Case, still: Quiet, alive: Mapping[int, Posture]) -> Iterator[Candidate]:
    """All wait, and not in the same call: by stacks that is a hint, for a program may call one from many places."""
    ops = {rank: one.op.split(" ")[0] for rank, one in alive.items() if one.does == "waiting" and one.op}
    if len(ops) < 2 or len(set(ops.values())) < 2:
        return
    ((common, count), *_) = Counter(ops.values()).most_common(1)
    odd = (
        tuple(sorted(rank for rank, op in ops.items() if op != common)) if 2 * count > len(ops) else tuple(sorted(ops))
    )
    yield Candidate(
        cause="wrong-order",
        ranks=odd,
        strength="missing-stack",
        line=f"{still.words}: {ranks_words(odd)} {'waits' if len(odd) == 1 else 'wait'} in {ops[odd[0]]}, "
        f"the others in {common}",
        site=alive[odd[0]].site,
        doubt="the stacks say so; a flight recorder would prove it",
        evidence=tuple(_stack_words(alive)),
    )


def by_use(case: Case) -> Iterator[Candidate]:
    """Without stacks and records: GPUs that are busy and cold wait in a collective; who does not, is waited for."""
    still = quiet(case)
    alive = {rank: seen for rank, seen in case.ranks.items() if seen.alive}
    waiting = [rank for rank, seen in alive.items() if spinning(seen)]
    others = [rank for rank, seen in alive.items() if rank not in waiting and seen.evidence.gpu is not None]
    if waiting and others and (still.notable or still.untold):
        evidence = [_gpu_words(seen) for seen in list(alive.values())[:16] if seen.evidence.gpu is not None]
        yield accuse(case, still, others, waiting, "a collective (GPU busy, and cold)", _IN_COLLECTIVE,
                     "missing-silent", evidence)  # fmt: skip
        return
    busy = [rank for rank, seen in alive.items() if idle(seen) is False]
    resting = [rank for rank, seen in alive.items() if idle(seen) is True]
    if busy and len(busy) < len(resting) and len(busy) + len(resting) == len(alive) and still.notable:
        yield accuse(case, still, busy, resting, "", _IN_COLLECTIVE, "missing-silent")


def _gpu_words(seen: Seen) -> Evidence:
    gpu = seen.evidence.gpu
    assert gpu is not None
    used = "unread" if gpu.utilization_percent is None else f"{gpu.utilization_percent:.0f} %"
    power = "unread" if gpu.power_w is None else f"{gpu.power_w:.0f} W"
    limit = f" of {gpu.power_limit_w:.0f} W" if gpu.power_limit_w else ""
    return told("gpu", f"rank {seen.rank}: GPU {'?' if gpu.index is None else gpu.index} {used} busy at {power}{limit}")


def by_elimination(case: Case) -> Iterator[Candidate]:
    """All were ended, most say that they waited in vain; whoever says nothing may be the one that they waited for."""
    ends = endings(case)
    hurt = [end for end in ends if end.part == "victim" and end.word is not None]
    waited = [end for end in hurt if end.word is not None and PATTERNS[end.word.id].tells in ("waited", "waited-init")]
    silent = [end.seen.rank for end in ends if end.part == "asked" and end.seen.log_read and end.word is None]
    silent += [rank for rank, seen in case.ranks.items() if seen.alive and seen.log_read and not seen.signs]
    if not waited or not silent:
        return
    before = any(end.word is not None and PATTERNS[end.word.id].tells == "waited-init" for end in waited)
    evidence = [told("log", f"rank {end.seen.rank}: {end.word.text}") for end in waited[:8] if end.word is not None]
    found = accuse(case, quiet(case), sorted(silent), sorted(end.seen.rank for end in waited), "",
                   _BEFORE_INIT if before else _IN_COLLECTIVE, "missing-silent", evidence)  # fmt: skip
    yield Candidate(
        cause=found.cause, ranks=found.ranks, strength=found.strength, line=found.line, site=found.site,
        doubt="only its silence speaks against it", evidence=found.evidence,
    )  # fmt: skip
