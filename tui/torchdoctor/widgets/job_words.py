"""The words and signs of distributed jobs: states, causes, times and ranks, the same in every view of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from torchdoctor.paint import Span, join
from torchdoctor.text import safe
from torchprobes.jobs.wording import NO_RANK_YET, script_words

if TYPE_CHECKING:
    from torchprobes.distributed import JobVerdict, JobView, RankView

RANK_SIGNS: Final[dict[str, Span]] = {
    "starting": ("·", "dim"),
    "importing": ("·", "dim"),
    "initialising": ("·", "run"),
    "compiling": ("●", "run"),
    "stepping": ("●", "ok"),
    "running": ("●", "ok"),
    "waiting": ("○", "info"),
    "hung": ("✘", "fail"),
    "stopped": ("▲", "warn"),
    "blocked": ("▲", "warn"),
    "ended": ("✔", "ok"),
    "exited": ("✘", "fail"),
    "killed": ("✘", "fail"),
    "oom-killed": ("✘", "fail"),
    "lost": ("?", "fail"),
}
"""State of a rank (`distributed.RANK_STATES`) -> (sign, role)."""

JOB_SIGNS: Final[dict[str, Span]] = {
    "starting": ("·", "run"),
    "running": ("●", "run"),
    "stuck": ("▲", "warn"),
    "failing": ("✘", "fail"),
    "ended": ("✔", "ok"),
    "failed": ("✘", "fail"),
    "stopped": ("–", "dim"),
    "lost": ("?", "fail"),
}
"""State of a job (`distributed.JOB_STATES`) -> (sign, role)."""

MILD: Final[dict[str, Span]] = {
    "compiling": ("●", "run"),
    "straggler": ("▲", "warn"),
    "stopped": ("▲", "warn"),
    "cancelled": ("–", "dim"),
}
"""Causes that are less than a failure."""

UNSURE: Final[Span] = ("?", "info")
UNKNOWN: Final[Span] = ("?", "dim")
"""The sign of a word that this version does not know."""

BAD_STATES: Final = frozenset({"hung", "exited", "killed", "oom-killed", "lost", "stopped", "blocked"})
_END: Final = frozenset({"ended", "failed", "stopped", "lost"})


def rank_sign(rank: RankView, guilty: bool, blamed: bool) -> Span:
    """The sign of a rank's state. `blamed` says that somebody is guilty: whom else it took along is no failure."""
    mark, role = RANK_SIGNS.get(rank.state, UNKNOWN)
    if guilty:
        return ("✘" if role == "fail" else "▲" if mark in "●○·" else mark), "fail"
    return (mark, "warn") if blamed and role == "fail" else (mark, role)


def job_over(state: str) -> bool:
    """Whether nothing more comes from a job in this state."""
    return state in _END


def verdict_sign(verdict: JobVerdict, state: str) -> Span:
    """The sign of a verdict: of the job's state where no fault was seen, a question mark where it is not sure."""
    if verdict.cause == "none" or state == "starting":
        return JOB_SIGNS.get(state, UNKNOWN)
    mild = MILD.get(verdict.cause)
    return mild if mild is not None else ("✘", "fail") if verdict.sure else UNSURE


def verdict_text(view: JobView) -> str:
    """The verdict in one line. Without a fault it says what was looked at, never that all is well."""
    verdict = view.verdict
    if view.state == "starting" and not view.ranks:
        return NO_RANK_YET
    if verdict.cause == "none":
        return safe(verdict.line) or _no_fault(view)
    text = safe(verdict.line) or join((f"rank {ranks_text(verdict.ranks)}" if verdict.ranks else "", verdict.cause))
    return text if verdict.sure else unsure_text(text)


def unsure_text(text: str) -> str:
    """A line that is not sure says so at its beginning, where no narrow screen cuts it off; why stands at its end."""
    said, apart, doubt = text.rpartition("; not sure: ")
    if apart:
        return f"not sure: {said} ({doubt})"
    return text if "not sure" in text else f"not sure: {text}"


def _no_fault(view: JobView) -> str:
    seen = len(view.ranks)
    if view.state == "ended":
        return f"ended: {sum(rank.state == 'ended' for rank in view.ranks)} of {seen} ranks are seen to end with 0"
    known = view.state in JOB_SIGNS
    return f"{view.state if known else safe(view.state)}: no fault seen on {seen} rank{'s' * (seen != 1)}"


def ranks_text(ranks: Iterable[int]) -> str:
    """`0–2, 5`."""
    parts: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if parts and rank == parts[-1][1] + 1:
            parts[-1][1] = rank
        else:
            parts.append([rank, rank])
    return ", ".join(str(low) if low == high else f"{low}–{high}" for low, high in parts)


def long_text(seconds: float | None) -> str:
    """A length of time in at most eight cells: `0.4 s`, `12 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`; "" if unread."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for size, unit, under, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // under} {small}"
    return f"{whole} s"


def lag_text(seconds: float | None) -> str:
    """An arrival lag: `0.15 ms`, `20.2 ms`, `1.30 s`; "" if unread."""
    if seconds is None:
        return ""
    if abs(seconds) >= 0.9995:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if abs(seconds) < 0.00995 else f"{seconds * 1e3:.1f} ms"


def bytes_text(count: float | None) -> str:
    """Memory in binary units, at most eight cells: `512 MiB`, `61.2 GiB`; "" if unread."""
    if count is None:
        return ""
    gib = count / (1 << 30)
    if gib >= 1:
        return f"{gib:.1f} GiB" if gib < 999.95 else f"{gib:.0f} GiB"
    return f"{count / (1 << 20):.0f} MiB"


def spread_text(share: float | None) -> str:
    """A fluctuation: `±3 %`, `±0.2 %`; "" if unread."""
    if share is None:
        return ""
    percent = share * 100
    return f"±{percent:.1f} %" if percent < 0.95 else f"±{percent:.0f} %"


def command_text(command: str) -> str:
    """What a rank of a job runs, without the launcher before it: `train.py --lr 3e-4`, `-m pkg.train`."""
    return safe(script_words(command), limit=400)
