"""What each rank does, in the words of the screen, and why."""

from __future__ import annotations

from typing import Final

from ...distributed import JobVerdict
from ..signs import exit_words, shell_signal
from .case import Case, Seen
from .endings import endings
from .postures import Posture, posture
from .quiet import Quiet, quiet
from .use import spinning

_WORDS: Final = {
    "stopped": "stopped", "blocked": "blocked", "waiting": "waiting", "initialising": "initialising",
    "importing": "importing", "compiling": "compiling",
}  # fmt: skip
BEGINS_NS: Final = 10 * 10**9
"""So long after its job's start a rank that tells nothing is said to start."""

_HANGS: Final = frozenset({"hung-in-collective", "hung-before-init", "dataloader-stuck", "wrong-order", "wrong-shape"})


def states(case: Case, verdict: JobVerdict) -> dict[int, tuple[str, str]]:
    """By rank, one of RANK_STATES and why."""
    still = quiet(case)
    ends = {end.seen.rank: end.part for end in endings(case)}
    found = {
        rank: _over(seen, ends.get(rank, "")) if seen.end is not None else _living(seen, still, verdict)
        for rank, seen in case.ranks.items()
    }
    lost = next((node.why or node.host for node in case.nodes if node.state != "ok"), "")
    if lost:
        found |= dict.fromkeys(case.unseen[:4096], ("lost", f"its node gives no answer: {lost}"))
    return found


def _over(seen: Seen, part: str) -> tuple[str, str]:
    end = seen.end
    assert end is not None
    why = exit_words(end) + {"victim": ", because of another rank", "asked": "" if end.asked else ", told to end"}.get(
        part, ""
    )
    if end.oom:
        return "oom-killed", why
    if end.signal is not None or shell_signal(end.code):
        return "killed", why
    return ("ended" if end.code == 0 else "exited"), why


def _living(seen: Seen, still: Quiet, verdict: JobVerdict) -> tuple[str, str]:
    does = posture(seen)
    accused = seen.rank in verdict.ranks and verdict.cause in _HANGS and still.notable
    if accused and does.does not in ("stopped", "blocked", "compiling"):
        return "hung", _why(does) or "others wait for it"
    if does.does in _WORDS and (does.does != "waiting" or still.notable or does.by != "flight"):
        return _WORDS[does.does], _why(does)
    if spinning(seen) and still.notable:
        return "waiting", "its GPU is busy and cold"
    progress = seen.evidence.progress
    if progress is not None and (progress.steps or progress.step_s):
        return "stepping", _why(does)
    if does.does == "unknown" and (_begins(seen) or (progress is not None and progress.phase == "starting")):
        return "starting", ""
    return "running", _why(does)


def _begins(seen: Seen) -> bool:
    """Whether it is so young that it cannot have told anything: an interpreter takes a second to say its first word."""
    job, progress = seen.node.job, seen.evidence.progress
    told = progress is not None and (progress.phase or progress.enqueued is not None)
    return not told and job is not None and 0 < seen.node.t_ns - job.started_ns < BEGINS_NS


def _why(does: Posture) -> str:
    parts = [f"in {does.op}" if does.op else "", does.why, f"at {does.site}" if does.site else ""]
    return " ".join(part for part in parts if part)
