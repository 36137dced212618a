"""Who ended first, and by its own fault; and who left while others still waited for it.

The rule of the reference (4.6), measured right in 80 of 80 trials there: ends by time, victims dropped, the first of
the rest is the root. What is added here is when that is not sure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from ...model import Evidence
from ...quantity import quantity
from ...rank_evidence import Sign
from ..signs import PATTERNS, exit_words
from ..wording import ranks_words
from .candidate import Candidate, told
from .case import Case, Seen
from .device import device_evidence, device_words, site_of_word
from .endings import Ending, cause_of_word, endings, last_word, role
from .oom import oom_bytes, oom_event

_GENERIC: Final = frozenset({"raised", "exited", "aborted"})


def crashes(case: Case) -> Iterator[Candidate]:
    """Candidates from ranks that ended by their own fault."""
    ends = endings(case)
    own = [end for end in ends if end.part == "own" and not end.weak and not _after_stop(case, end)]
    if own:
        yield _first(case, ends, own)
        return
    weak = [end for end in ends if end.part == "unclear" or (end.part == "own" and end.weak)]
    if weak and not any(end.part == "clean" for end in ends) and not _waited(ends):
        yield _weak(case, weak)


def _after_stop(case: Case, end: Ending) -> bool:
    return bool(case.stop_ns) and end.t_ns > case.stop_ns + end.error_ns


def _waited(ends: Sequence[Ending]) -> bool:
    """Whether some end as victims of waiting in vain: then ends without a word are no crash."""
    words = [end.word for end in ends if end.part == "victim" and end.word is not None]
    return any(
        PATTERNS[word.id].tells in ("waited", "waited-init", "mismatch") for word in words if word.id in PATTERNS
    )


def _first(case: Case, ends: Sequence[Ending], own: Sequence[Ending]) -> Candidate:
    """The first of those that have a fault of their own, with all that raised the very same."""
    first = own[0]
    group = [end for end in ends if end.part == "own" and _same(end, first)]
    rivals = [end for end in own if end not in group and _apart_ns(case, first, end) <= 0]
    doubt = _doubt(case, ends, first, rivals)
    ranks = tuple(sorted({end.seen.rank for end in [*group, *rivals]}))
    return Candidate(
        cause=first.cause,
        ranks=ranks if not rivals else (first.seen.rank, *(r for r in ranks if r != first.seen.rank)),
        strength="crash",
        what=_what(first, case),
        site=site_of_word(first.seen, first.word),
        sure=not doubt,
        t_ns=first.t_ns,
        error_ns=first.error_ns,
        doubt=doubt,
        evidence=tuple(_evidence(ends)),
    )


def _same(end: Ending, first: Ending) -> bool:
    """Whether a rank has the very same fault: all ranks meet a wrong path alike."""
    if end is first:
        return True
    if end.word is None or first.word is None or not first.word.exception:
        return False
    return (end.cause, end.word.exception, end.word.site) == (first.cause, first.word.exception, first.word.site)


def _apart_ns(case: Case, one: Ending, other: Ending) -> int:
    """By how much `one` came before `other` beyond what clocks and readings may err; not positive: nobody knows."""
    if not one.t_ns or not other.t_ns:
        return 0
    error = case.error_ns(one.seen.node, other.seen.node) + max(one.error_ns, other.error_ns)
    return other.t_ns - one.t_ns - error


def _doubt(case: Case, ends: Sequence[Ending], first: Ending, rivals: Sequence[Ending]) -> str:
    """Why the first is not sure to be the root, "" if it is."""
    if rivals:
        return f"{ranks_words(r.seen.rank for r in rivals)} ended at the same time, as far as the clocks tell"
    before = [
        e for e in ends if e.part in ("victim", "clean") and not _same(e, first) and _apart_ns(case, e, first) > 0
    ]
    gone = [e for e in before if e.part == "clean"]
    if first.cause in ("segfault", "aborted", "killed") and before:
        return f"{ranks_words(e.seen.rank for e in before)} ended before it"
    if gone and first.cause in _GENERIC and first.word is None:
        return f"{ranks_words(e.seen.rank for e in gone)} had left with exit code 0 before"
    unclear = [e for e in ends if e.part == "unclear" and _apart_ns(case, first, e) <= 0]
    if unclear and (first.word is None or not first.word.exception):
        return f"{ranks_words(e.seen.rank for e in unclear)} ended as early, and nothing tells why"
    if first.cause == "killed" and not first.end.settled:
        return "the kernel's log and its cgroup may yet tell of an OOM kill"
    if first.end.seen not in ("zombie", "pidfd") and first.word is None:
        return "nobody saw the kernel's own exit code"
    return ""


def _weak(case: Case, weak: Sequence[Ending]) -> Candidate:
    first = weak[0]
    tied = [end for end in weak if _apart_ns(case, first, end) <= 0]
    return Candidate(
        cause=first.cause,
        ranks=tuple(sorted({end.seen.rank for end in tied})),
        strength="weak-crash",
        what=_what(first, case),
        site=site_of_word(first.seen, first.word),
        t_ns=first.t_ns,
        error_ns=first.error_ns,
        doubt="its log could not be read, and a victim ends like that too" if not first.seen.log_read else
        "only an older line of its log speaks of a fault",
        evidence=tuple(_evidence(weak)),
    )  # fmt: skip


def _what(end: Ending, case: Case) -> str:
    """What it did, as the second half of a line."""
    word = end.word
    if end.cause == "oom":
        return _oom_words(end, case)
    if word is not None and end.cause in ("raised", "dataloader-stuck", "port-taken"):
        return what_raised(end.seen, word)[1]
    words = {"killed": "was killed: ", "segfault": "crashed: ", "aborted": "aborted: "}.get(end.cause, "ended with ")
    return words + exit_words(end.end) + _killed_by(end, case)


def what_raised(seen: Seen, word: Sign) -> tuple[str, str]:
    """The cause that a rank's own word tells, and the word as the second half of a line."""
    cause = cause_of_word(word)
    if cause == "port-taken":
        port = word.details.get("port", "")
        return cause, f"found the port{' ' + port if port else ''} of the rendezvous taken: {short(word)}"
    if cause == "oom":
        return cause, f"ran out of GPU memory: {short(word)}"
    on_device = device_words(seen, word)
    if on_device:
        return cause, on_device
    lost = "lost a worker of its DataLoader: " if word.id == "loader-worker" else "raised "
    return cause, lost + short(word)


def _oom_words(end: Ending, case: Case) -> str:
    """Out of memory: the GPU's, the node's or the cgroup's; with the size if anything tells it."""
    word, event = end.word, oom_event(case, end.seen)
    if word is not None and word.id == "cuda-oom" and not end.end.oom and event is None:
        return f"ran out of GPU memory: {short(word)}"
    looks = [look.peak_rss_bytes or look.rss_bytes for look in end.seen.evidence.processes]
    held = oom_bytes(event) or max((size for size in looks if size), default=None)
    at = f" at {quantity(held, 'B')}" if held else ""
    if word is not None and word.id == "loader-worker":
        return f"lost a worker of its DataLoader: OOM-killed{at}"
    return f"was OOM-killed{at}"


def _killed_by(end: Ending, case: Case) -> str:
    """Of a SIGKILL: whether something speaks against the kernel."""
    if end.cause != "killed" or "SIGKILL" not in exit_words(end.end) or not end.end.settled:
        return ""
    looked = {"the kernel's log": case.kernel_read(end.seen.node), "its cgroup": end.end.cgroup}
    read = [name for name, found in looked.items() if found]
    unread = " and ".join(name for name, found in looked.items() if found is False)
    if not unread:
        return f" (no OOM kill in {' or '.join(read)})" if read else ""
    return f" ({unread} could not be read: it may be an OOM kill)"


_PREAMBLE: Final = re.compile(
    r"(?:what\(\):\s*)?(?:\[[^\]]{0,160}\]\s*:?\s*){1,4}"
    r"(?:Process group watchdog thread terminated with exception:)?\s*"
    r"|what\(\):\s*"
)
"""What threads of C++ put before what they have to say: stamps, groups, who says it."""


def short(word: Sign) -> str:
    """The exception of a sign, or its text, without torch's stamps."""
    text = (word.exception or word.text).strip()
    found = _PREAMBLE.match(text)
    rest = text[found.end() :] if found is not None else text
    text = rest if len(rest) > 20 else text
    return text[:160] + ("…" if len(text) > 160 else "")


def _evidence(ends: Sequence[Ending]) -> Iterator[Evidence]:
    """Ends in order, and the words that they rest on."""
    begin = next((end.t_ns for end in ends if end.t_ns), 0)
    for end in ends[:32]:
        after = f" at +{(end.t_ns - begin) / 1e9:.3f} s" if end.t_ns else ""
        asked = "" if end.end.asked else "told to end"
        part = {"own": "its own fault", "victim": "a victim", "asked": asked, "clean": ""}.get(end.part, "unclear")
        who = f"rank {end.seen.rank} on {end.seen.host}"
        yield told("exit", f"{who}: {exit_words(end.end)}{after}" + (f" ({part})" if part else ""), None)
        if end.word is not None and end.part in ("own", "victim"):
            site = f" at {end.word.site}" if end.word.site else ""
            yield told("log", f"rank {end.seen.rank}: {end.word.exception or end.word.text}{site}")
            yield from device_evidence(end.seen, end.word)


def _lost_a_peer(seen: Seen) -> bool:
    """Whether a living rank's last word is that a peer went away: it is about to end of that."""
    word = last_word(seen, None)
    return word is not None and role(word) == "victim" and word.id in PATTERNS and PATTERNS[word.id].tells == "closed"


def returned_early(case: Case) -> Iterator[Candidate]:
    """Ranks that ended with 0 while others were still waiting for them, and died of that or wait now."""
    ends = endings(case)
    clean = [end for end in ends if end.part == "clean"]
    if not clean or any(end.part == "own" and not end.weak for end in ends):
        return
    hurt = [end for end in ends if end.part in ("victim", "unclear")]
    ending = [rank for rank, seen in case.ranks.items() if seen.alive and _lost_a_peer(seen)]
    if _waited(hurt):
        return
    early = [end for end in clean if all(_apart_ns(case, end, other) > 0 for other in hurt)]
    if not (hurt or ending) or not early:
        return
    closed = bool(ending) or any(end.word is not None for end in hurt)
    waited = ranks_words([*ending, *(end.seen.rank for end in hurt)])
    majority = len(early) * 2 >= len(case.ranks)
    doubt = "as many ranks ended well" if majority else "" if closed else "nothing tells why the others ended"
    yield Candidate(
        cause="returned-early",
        ranks=tuple(end.seen.rank for end in early),
        strength="returned",
        what=f"ended with exit code 0 while {waited} still waited for it",
        sure=not doubt,
        t_ns=early[0].t_ns,
        error_ns=early[0].error_ns,
        doubt=doubt,
        evidence=tuple(_evidence(ends)),
    )
