"""What each rank does, in the words of the screen, and why."""

from __future__ import annotations

from ...distributed import JobVerdict
from ..signs import exit_words, shell_signal
from .case import Case, Seen


def states(case: Case, verdict: JobVerdict) -> dict[int, tuple[str, str]]:
    """By rank, one of RANK_STATES and why."""
    return {rank: _state(seen) for rank, seen in case.ranks.items()}


def _state(seen: Seen) -> tuple[str, str]:
    end = seen.end
    if end is None:
        return "running", ""
    if end.oom:
        return "oom-killed", exit_words(end)
    if end.signal is not None or shell_signal(end.code):
        return "killed", exit_words(end)
    return ("ended" if end.code == 0 else "exited"), exit_words(end)
