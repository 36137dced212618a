"""Of all that the rules propose, the one that is told; and whether it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...distributed import JobVerdict
from ...model import Evidence
from ..wording import ranks_words
from .candidate import WEIGHTS, Candidate, told
from .case import Case

_ENDS: Final = frozenset(
    {"raised", "exited", "killed", "oom", "segfault", "aborted", "returned-early", "port-taken", "gpu-fault"}
)
_STANDS: Final = frozenset(
    {"hung-before-init", "hung-in-collective", "wrong-order", "wrong-shape", "stopped", "blocked-io", "compiling",
     "dataloader-stuck"}
)  # fmt: skip
"""Two families of causes, what ended a job and what holds it: within one, two culprits contradict each other."""

_FAINT: Final = WEIGHTS["missing-silent"]
"""What weighs no more than this contradicts nobody: it is what was left when all others were excused."""


def pick(case: Case, candidates: Sequence[Candidate]) -> tuple[JobVerdict, tuple[Evidence, ...]]:
    """The verdict, and what it rests on: its own evidence first, then that of the others by their weight."""
    ordered = sorted(candidates, key=lambda one: (-one.weight, one.t_ns == 0, one.t_ns))
    best, others = ordered[0], ordered[1:]
    against = next((other for other in others if _disagree(best, other)), None)
    doubt = best.doubt
    if against is not None:
        doubt = f"{doubt}; " * bool(doubt) + f"but another piece of evidence says: {_words(case, against)}"
    sure = best.sure and not doubt
    verdict = JobVerdict(
        ranks=best.ranks,
        cause=best.cause,
        sure=sure,
        line=_line(case, best, "" if sure else doubt),
        host=_host(case, best),
        site=best.site,
        doubt="" if sure else doubt,
    )
    before = _before_stop(case, best, others)
    return verdict, (*before, *_evidence(ordered, "" if sure else doubt))


def _before_stop(case: Case, best: Candidate, others: Sequence[Candidate]) -> tuple[Evidence, ...]:
    """Of a job that somebody ended: what held it until then, if anything did."""
    held = next((one for one in others if one.cause in _STANDS), None)
    if best.cause != "cancelled" or held is None:
        return ()
    return (told("hang", f"before it was stopped: {_words(case, held)}"),)


def _disagree(best: Candidate, other: Candidate) -> bool:
    """Whether another proposal of weight names other ranks for the same end, or the same stand."""
    family = next((family for family in (_ENDS, _STANDS) if best.cause in family and other.cause in family), None)
    if family is None or other.weight <= _FAINT or not best.ranks or not other.ranks:
        return False
    if best.t_ns and other.t_ns and best.t_ns + best.error_ns + other.error_ns < other.t_ns:
        return False
    return not set(best.ranks) & set(other.ranks)


def _words(case: Case, one: Candidate) -> str:
    if one.line:
        return one.line
    site = f" at {one.site}" if one.site and one.site not in one.what else ""
    return f"{_who(case, one)} {one.what}{site}"


def _who(case: Case, one: Candidate) -> str:
    hosts = {case.ranks[rank].host for rank in one.ranks if rank in case.ranks}
    where = f" on {hosts.pop()}" if len(hosts) == 1 else ""
    return ranks_words(one.ranks) + where


def _host(case: Case, best: Candidate) -> str:
    first = next((case.ranks[rank] for rank in best.ranks if rank in case.ranks), None)
    return "" if first is None else first.host


def _line(case: Case, best: Candidate, doubt: str) -> str:
    line = _words(case, best)
    return f"{line}; not sure: {doubt}" if doubt else line


def _evidence(ordered: Sequence[Candidate], doubt: str) -> list[Evidence]:
    found: list[Evidence] = [told("doubt", doubt)] if doubt else []
    for candidate in ordered:
        found += [piece for piece in candidate.evidence if piece not in found]
    return found
