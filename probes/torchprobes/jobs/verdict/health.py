"""A job without a fault, one of which nothing is known, and one where all came and nothing ends: said in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...model import Evidence
from ..wording import NO_RANK_YET, ranks_words
from .candidate import Candidate, told
from .case import Case, Seen
from .postures import posture
from .quiet import Quiet, advanced, quiet, same_place, since_moved
from .use import idle

_GERUND = {
    "waiting": "in a collective", "initialising": "at init", "importing": "importing", "compiling": "compiling",
    "loading": "waiting for data", "saving": "at a checkpoint", "working": "in user code",
    "unknown": "running", "blocked": "in uninterruptible sleep", "stopped": "stopped",
}  # fmt: skip


def health(case: Case) -> Iterator[Candidate]:
    """What there is to say where no rule accuses anybody; always one candidate."""
    if not case.ranks:
        yield _nobody(case)
        return
    alive = [seen for seen in case.ranks.values() if seen.alive]
    if not alive:
        yield _over(case)
        return
    still = quiet(case)
    moving = [seen.rank for seen in alive if _moves(seen)]
    if moving and not still.notable:
        yield _going(case, alive, moving)
    elif still.notable:
        yield _standing(case, alive, still)
    elif still.seconds is not None and not still.moves:
        steps = f", and steps took up to {still.longest_step_s:.0f} s" if still.longest_step_s else ""
        line = f"{still.words}: {_count(alive)} {_doing(alive)}{steps}"
        yield Candidate("none", (), "none", line=line, evidence=tuple(denied(case)))
    else:
        yield _unknown(case, alive)


def _nobody(case: Case) -> Candidate:
    silent = [node for node in case.nodes if node.state != "ok"]
    begins = any(agent.alive for _, agent in case.agents)
    text = NO_RANK_YET if begins else "no rank of this job was found"
    text = f"{len(silent)} of {len(case.nodes)} nodes give no answer" if silent else text
    return Candidate("unknown", (), "unknown", line=text, doubt="", evidence=tuple(denied(case)))


def _over(case: Case) -> Candidate:
    good = all(seen.end is not None and seen.end.code == 0 for seen in case.ranks.values())
    short = f" of {case.world}" if case.unseen else ""
    if good:
        line = f"{len(case.ranks)}{short} ranks ended with exit code 0"
        doubt = "nothing is known of the others" if case.unseen else ""
        return Candidate("none", (), "none", line=line, sure=not case.unseen, doubt=doubt)
    return Candidate(
        "unknown",
        (),
        "unknown",
        line="all ranks are over, and nothing tells whose fault it was",
        evidence=tuple(denied(case)),
    )


def _moves(seen: Seen) -> bool:
    """Positive evidence that a rank goes on: its recorder, its events, its stack, or the CPU that it uses."""
    recent = since_moved(seen)
    if advanced(seen) is False or (recent is not None and recent < 10.0):
        return True
    return same_place(seen) is False or idle(seen) is False


def _going(case: Case, alive: list[Seen], moving: list[int]) -> Candidate:
    steps = [p.step_s for seen in alive if (p := seen.evidence.progress) is not None and p.step_s]
    stepped = any(advanced(seen) is False or since_moved(seen) is not None for seen in alive)
    count = _count(alive)
    if steps:
        line = f"{count} stepping, {1 / max(steps):.3g} steps/s, nobody late"
    else:
        line = f"{count} {_doing(alive)}" + ("" if stepped else "; nothing tells of their steps")
    over = len(case.ranks) - len(alive)
    if over:
        line += f"; {over} ended"
    all_seen = len(moving) == len(alive) and stepped and not case.unseen
    return Candidate("none", (), "none", line=line, sure=all_seen, evidence=tuple(_moving_evidence(alive)))


def _count(alive: list[Seen]) -> str:
    return f"{len(alive)} {'rank' if len(alive) == 1 else 'ranks'}"


def _moving_evidence(alive: list[Seen]) -> Iterator[Evidence]:
    for seen in alive[:16]:
        recent = since_moved(seen)
        if advanced(seen) is False:
            yield told("flight", f"rank {seen.rank}: its collectives went on between the looks")
        elif recent is not None:
            yield told("events", f"rank {seen.rank}: moved {recent:.1f} s ago")
        elif idle(seen) is False:
            yield told("process", f"rank {seen.rank}: uses CPU, disk or GPU")


def _doing(alive: list[Seen]) -> str:
    ((does, _), *_) = Counter(posture(seen).does for seen in alive).most_common(1)
    return _GERUND.get(does, "running")


def _standing(case: Case, alive: list[Seen], still: Quiet) -> Candidate:
    """Nothing moves, and nobody is missing anywhere: all wait in one call, all compile, all are at init."""
    postures = {seen.rank: posture(seen) for seen in alive}
    does = {one.does for one in postures.values()}
    busy = [seen.rank for seen in alive if idle(seen) is False]
    ops = {one.op for one in postures.values() if one.op}
    if does == {"waiting"}:
        where = ops.pop() if len(ops) == 1 else "collectives"
        return Candidate(
            "hung-in-collective",
            (),
            "stuck",
            line=f"{still.words}: all {len(alive)} ranks have come to {where}, and it does not end",
            doubt="the network, a GPU, or sizes that differ and that nobody recorded",
            evidence=tuple(denied(case)),
        )
    if does <= {"compiling", "importing", "saving", "initialising"} or busy:
        return Candidate("none", (), "none", line=f"{len(alive)} ranks {_doing(alive)}, {still.words}",
                         evidence=tuple(denied(case)))  # fmt: skip
    site = next((one.site for one in postures.values() if one.site), "")
    return Candidate(
        "unknown",
        (),
        "unknown",
        line=f"{still.words}: {ranks_words(postures)} {_doing(alive)}" + (f" at {site}" if site else ""),
        doubt="nothing tells what is waited for",
        evidence=tuple(denied(case)),
    )


def _unknown(case: Case, alive: list[Seen]) -> Candidate:
    lacking = sorted({source.source for seen in alive for source in seen.evidence.sources if not source.available})
    text = f"; denied: {', '.join(lacking)}" if lacking else ""
    return Candidate(
        "unknown",
        (),
        "unknown",
        line=f"{_count(alive)} {_doing(alive)}, and nothing tells of progress{text}",
        evidence=tuple(denied(case)),
    )


def denied(case: Case) -> Iterator[Evidence]:
    """The nodes that give no answer. Which sources could not be read stands in the row of each rank."""
    for node in case.nodes:
        if node.state != "ok":
            yield told("node", f"{node.host}: {node.state}{': ' + node.why if node.why else ''}")
