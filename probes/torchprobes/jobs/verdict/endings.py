"""How each rank that is over ended: by itself, by its own fault, as a victim, or because it was told to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from ...rank_evidence import Exit, Sign
from ..signs import PATTERNS, shell_signal
from .case import AGENT_ERROR_NS, GONE_ERROR_NS, SAME_HOST_NS, Case, Seen
from .oom import oom_event

Part = Literal["clean", "own", "victim", "asked", "unclear"]
"""`unclear`: ended badly, and what is known fits a victim as well as a culprit."""

_ENDS: Final = frozenset({"SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGQUIT"})
"""Signals by which launchers and people end a process."""

_CRASHES: Final = {
    "SIGSEGV": "segfault",
    "SIGBUS": "segfault",
    "SIGABRT": "aborted",
    "SIGKILL": "killed",
}
_BEFORE_CLOSING_NS: Final = 50_000_000
"""An exit that is seen this much before its launcher's stamp may still be its doing."""

_KILLS_AFTER_NS: Final = 500_000_000
"""Launchers ask with SIGTERM and wait (torchrun 30 s): a SIGKILL that comes sooner after their stamp is not theirs. One
that made them close the job is seen within 100 ms before it (--monitor-interval)."""

_BY_TEXT: Final = {
    "port-taken": "port-taken",
    "cuda-oom": "oom",
    "loader-timeout": "dataloader-stuck",
    "fatal": "segfault",
}
"""Signs whose cause is more than `raised`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one rank. `t_ns` is when its fault showed first, on the common clock, known to `error_ns`.

    `word` is its last word on the matter: the sign that its part rests on. `weak` says that only a text that may be
    old speaks against it.
    """

    seen: Seen
    end: Exit
    part: Part
    cause: str
    t_ns: int
    error_ns: int
    word: Sign | None = None
    weak: bool = False


@lru_cache(maxsize=1)
def endings(case: Case) -> tuple[Ending, ...]:
    """Those of all ranks that are over, the earliest first; without a time last."""
    found = [_ending(case, seen, seen.end) for seen in case.ranks.values() if seen.end is not None]
    return tuple(sorted(found, key=lambda e: (e.t_ns == 0, e.t_ns, e.seen.rank)))


def _ending(case: Case, seen: Seen, end: Exit) -> Ending:
    word = last_word(seen, end)
    oom = end.oom or oom_event(case, seen) is not None
    part, weak = _part(case, seen, end, word)
    if oom and part != "clean":
        part, weak = "own", False
    t_ns = seen.wall(end.t_ns)
    if part == "own" and word is not None and word.t_ns:
        t_ns = min(t_ns, seen.wall(word.t_ns)) if t_ns else seen.wall(word.t_ns)
    return Ending(seen, end, part, _cause(end, word, oom), t_ns, _error_ns(end), word, weak)


def _error_ns(end: Exit) -> int:
    return {"agent": AGENT_ERROR_NS, "gone": GONE_ERROR_NS}.get(end.seen, SAME_HOST_NS)


def last_word(seen: Seen, end: Exit | None) -> Sign | None:
    """The last sign that says whose fault its end was.

    What ended a Python program with a code is its last exception: threads of NCCL and the store go on to complain
    while it ends. What aborted it is whatever came last. Warnings judge nothing.
    """
    weighty = [sign for sign in seen.signs if role(sign) in ("own", "victim", "asked") and not _warning(sign)]
    if end is not None and end.signal is None:
        raised = [sign for sign in weighty if sign.exception]
        weighty = raised or weighty
    return weighty[-1] if weighty else None


def role(sign: Sign) -> str:
    """Whose fault a sign tells: own, victim, asked, launcher, hint."""
    if sign.victim:
        return "victim"
    pattern = PATTERNS.get(sign.id)
    return "hint" if pattern is None else pattern.role


def _warning(sign: Sign) -> bool:
    return sign.text.startswith(("[W", "[I")) and not sign.exception


def _part(case: Case, seen: Seen, end: Exit, word: Sign | None) -> tuple[Part, bool]:
    """Its part, and whether that rests on a weak text only."""
    of = "" if word is None else role(word)
    own = of == "own"
    if end.code == 0:
        return "clean", False
    if _asked(case, seen, end):
        return ("own", True) if own and _before_closing(case, seen, word) else ("asked", False)
    if word is not None and word.id in ("interrupted", "signalled"):
        return "asked", False
    if of == "victim" and end.signal not in ("SIGKILL", "SIGSEGV", "SIGBUS"):
        return "victim", False
    if own or _speaks_for_itself(seen, end):
        return "own", False
    return "unclear", False


def _speaks_for_itself(seen: Seen, end: Exit) -> bool:
    """Whether an end without a word is its own fault: a victim raises (1) or is aborted, and says so where one reads.

    A code that is neither was chosen; a signal that is not SIGABRT or SIGTERM hit this process.
    """
    if end.code is None and end.signal is None:
        return False
    generic = end.code == 1 or end.signal in ("SIGABRT", "SIGTERM") or shell_signal(end.code) in ("SIGABRT", "SIGTERM")
    return seen.log_read if generic else True


def _asked(case: Case, seen: Seen, end: Exit) -> bool:
    """Whether its launcher or a person had ended it: told by a signal that was seen, or by when it died of one."""
    if end.asked:
        return True
    by = end.signal or shell_signal(end.code)
    if by not in _ENDS:
        return False
    closing = case.closing_ns(seen.node)
    closing += _KILLS_AFTER_NS + _BEFORE_CLOSING_NS if closing and by == "SIGKILL" else 0
    asked = [t for t in (closing, case.stop_ns) if t]
    return any(seen.wall(end.t_ns) >= t - max(_BEFORE_CLOSING_NS, _error_ns(end)) for t in asked)


def _before_closing(case: Case, seen: Seen, word: Sign | None) -> bool:
    """Whether what it raised came before it was told to end; unknown counts as before, weakly."""
    closing = case.closing_ns(seen.node) or case.stop_ns
    return word is not None and (not word.t_ns or not closing or seen.wall(word.t_ns) < closing)


def cause_of_word(word: Sign) -> str:
    """The cause that a rank's own word tells: `raised`, or what is more than that."""
    return _BY_TEXT.get(word.id, "raised")


def _cause(end: Exit, word: Sign | None, oom: bool) -> str:
    by = end.signal or shell_signal(end.code)
    own = word is not None and role(word) == "own"
    if oom:
        return "oom"
    if own and word is not None and word.id in _BY_TEXT and by not in ("SIGKILL", "SIGBUS"):
        return _BY_TEXT[word.id] if word.id != "fatal" else _fatal(by)
    if (
        own
        and word is not None
        and (word.exception or word.id != "fatal")
        and by not in ("SIGKILL", "SIGSEGV", "SIGBUS")
    ):
        return "raised"
    if by:
        return _CRASHES.get(by, "killed")
    return "exited" if end.code is not None else "unknown"


def _fatal(by: str) -> str:
    return _CRASHES.get(by, "segfault")
