"""Of all that the rules propose, the one that is told; and whether it is sure."""

from __future__ import annotations

from collections.abc import Sequence

from ...distributed import JobVerdict
from ...model import Evidence
from .candidate import Candidate, ranks_words, told
from .case import Case


def pick(case: Case, candidates: Sequence[Candidate]) -> tuple[JobVerdict, tuple[Evidence, ...]]:
    """The verdict, and what it rests on: its own evidence first, then that of the others by their weight."""
    ordered = sorted(candidates, key=lambda c: (-c.weight, c.t_ns == 0, c.t_ns))
    if not ordered:
        return _nothing(case), ()
    best, others = ordered[0], ordered[1:]
    against = next((other for other in others if _disagree(best, other)), None)
    doubt = best.doubt or (f"{_who(case, against)} {against.what}" if against is not None else "")
    sure = best.sure and not doubt
    verdict = JobVerdict(
        ranks=best.ranks,
        cause=best.cause,
        sure=sure,
        line=_line(case, best, "" if sure else doubt),
        host=_host(case, best),
        site=best.site,
    )
    return verdict, tuple(_evidence(ordered, doubt if not sure else ""))


def _nothing(case: Case) -> JobVerdict:
    over = all(not seen.alive for seen in case.ranks.values())
    if case.ranks and over and all(seen.end is not None and seen.end.code == 0 for seen in case.ranks.values()):
        return JobVerdict(cause="none", sure=True, line=f"{len(case.ranks)} ranks ended with exit code 0")
    return JobVerdict(cause="unknown", line="nothing tells what this job does")


def _disagree(best: Candidate, other: Candidate) -> bool:
    return False


def _who(case: Case, candidate: Candidate) -> str:
    hosts = {case.ranks[r].host for r in candidate.ranks if r in case.ranks}
    where = f" on {hosts.pop()}" if len(hosts) == 1 else ""
    return ranks_words(candidate.ranks) + where


def _host(case: Case, best: Candidate) -> str:
    first = next((case.ranks[r] for r in best.ranks if r in case.ranks), None)
    return "" if first is None else first.host


def _line(case: Case, best: Candidate, doubt: str) -> str:
    site = f" at {best.site}" if best.site and best.site not in best.what else ""
    line = best.line or f"{_who(case, best)} {best.what}{site}"
    return f"not sure: {line}; {doubt}" if doubt else line


def _evidence(ordered: Sequence[Candidate], doubt: str) -> list[Evidence]:
    found: list[Evidence] = [told("doubt", doubt)] if doubt else []
    for candidate in ordered:
        found += [piece for piece in candidate.evidence if piece not in found]
    return found
