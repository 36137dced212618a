"""What a program did to its own GPU: an assertion inside a kernel, an access to no memory of its own.

CUDA tells of it when the next call looks, in whichever thread that is: the watchdog's words come last and name
nothing. The assertion itself is a line that the kernel prints; where the program stood, a traceback or a stack tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ...model import Evidence
from ...rank_evidence import Sign
from ..signs import site
from .candidate import told
from .case import Seen
from .postures import frames_of

_DID: Final = {
    "cuda-assert": "hit a CUDA device-side assert",
    "cuda-illegal": "made an illegal memory access on its GPU",
    "cuda-launch": "had a kernel fail on its GPU",
}
"""By the sign; the kernel's own words and the place are added."""

_ASSERTION: Final = re.compile(
    r"(?P<file>[^/\s:]{1,80}):(?P<line>\d{1,6}): .{0,400}?Assertion `(?P<what>[^`]{1,300}?)` failed"
)
_MESSAGE: Final = re.compile(r'"([^"]{3,120})"')

LATER: Final = (
    "CUDA reports a kernel's failure later, at another call; with CUDA_LAUNCH_BLOCKING=1 the traceback names its line"
)
UNKNOWN_SITE: Final = (
    "the failing kernel's call site is not known: CUDA reports later; rerun with CUDA_LAUNCH_BLOCKING=1"
)


def device_words(seen: Seen, word: Sign) -> str:
    """`hit a CUDA device-side assert: …`, the second half of a line; "" if the sign tells of something else."""
    if word.id not in _DID:
        return ""
    said, where = assertion(seen), site_of_word(seen, word)
    said = f": {said}" if said and word.id == "cuda-assert" else ""
    return f"{_DID[word.id]}{said}" + (f", reported at {where}" if where else "")


def assertion(seen: Seen) -> str:
    """``Assertion `index out of bounds` failed in IndexKernel.cu:111``, "" if its log has no such line."""
    for sign in _said(seen):
        found = _ASSERTION.search(sign.text) if sign.id == "cuda-kernel-assert" else None
        if found is not None:
            message = _MESSAGE.search(found["what"])
            what = message[1] if message is not None else found["what"][:120]
            return f"Assertion `{what}` failed in {found['file']}:{found['line']}"
    return ""


def _said(seen: Seen) -> Iterator[Sign]:
    """Its own lines; a kernel's line in a log that ranks share names nobody, and is taken where there is no own one."""
    yield from seen.signs
    if seen.node.agent is not None:
        yield from (sign for sign in seen.node.agent.signs if sign.rank is None)


def site_of_word(seen: Seen, word: Sign | None) -> str:
    """Where it happened: the word's own call site, that of an earlier one of its kind, for a device that of a stack.

    A rank that a thread of C++ aborts at last has told the place in its traceback before.
    """
    if word is None or word.site:
        return "" if word is None else word.site
    earlier = next((sign.site for sign in reversed(seen.signs) if sign.id == word.id and sign.site), "")
    if earlier or word.id not in _DID or not seen.evidence.stacks:
        return earlier
    return site(frames_of(seen.evidence.stacks[-1]))


def device_evidence(seen: Seen, word: Sign) -> Iterator[Evidence]:
    """The kernel's own line, and what the place that is named is worth."""
    if word.id not in _DID:
        return
    line = next((sign.text for sign in _said(seen) if sign.id == "cuda-kernel-assert"), "")
    if line:
        yield told("log", f"rank {seen.rank}: {line}")
    yield told("log", f"rank {seen.rank}: {LATER if site_of_word(seen, word) else UNKNOWN_SITE}")
