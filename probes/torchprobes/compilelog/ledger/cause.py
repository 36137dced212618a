"""The true cause of a recompile: which of the failed guards tells what was new about the call.

torch names one failed guard for each cache entry, the most recently used first, and stops at the first that fails in
each. Only one of them says why nothing fitted. The rule, each step among what the one before has left:

1. Drop a guard that the call passed in another entry. An entry that failed at a later check of the same tensor (its
   size, say) had the right dtype, so the dtype is not why nothing fitted; one that failed at any tensor or value had
   the right global state; one that failed at a symbolic shape, which are checked last, fits but for that shape.
2. A size of 0 or 1 is compiled for itself: where another guard tells that size, the lower bound `2 <=` is the cause.
3. Prefer a guard that has never failed for this function before: the same kind on the same thing. What alternates
   (training and evaluation, two dtypes) fails each time for the entries of the other sort, and has its entry already.
4. Prefer a guard that has never failed with these words: entries which are left behind fail in the same way each time
   (`flag == False`), the newest fails for the first time.
5. The newest entry: it is the one that was made for the call most like this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final

from ..events import GuardFailure
from .guards import AFTER_ALL, BEFORE_ALL, Guard, read_guard

_IDENTITY: Final = re.compile(r"___check_obj_id\(.{1,400}, (\d{1,20})\)")
LOWEST_OBJECT: Final = 1 << 32
"""Objects on the heap lie above it on every 64-bit system."""

_LOWER_BOUND: Final = re.compile(r"2 <= ")
MOST_SEEN: Final = 4096
"""Guards remembered of one function; a limit is 8 by default, and 256 for all together."""


@dataclass(slots=True)
class Seen:
    """What has failed for one function so far."""

    signatures: set[tuple[str, str, str, int]] = field(default_factory=set)
    texts: set[tuple[str, str]] = field(default_factory=set)
    made_for: dict[tuple[str, str, str, str], str] = field(default_factory=dict)
    """By entry and guard: the value that the entry was compiled for, which is what came when it was compiled."""

    def note(self, failures: tuple[GuardFailure, ...], guards: tuple[Guard, ...]) -> None:
        """These have failed."""
        if len(self.texts) < MOST_SEEN:
            self.signatures.update(guard.signature for guard in guards)
            for failure, guard in zip(failures, guards, strict=True):
                self.texts.add((failure.entry, guard.text))
                if guard.step < AFTER_ALL:
                    self.made_for[failure.entry, guard.kind, guard.source, guard.at] = guard.expected


@dataclass(frozen=True, slots=True)
class Cause:
    """The guard that was the true cause, and the actual value where another guard tells it."""

    index: int
    guard: Guard
    actual: str = ""


def true_cause(failures: tuple[GuardFailure, ...], seen: Seen) -> Cause | None:
    """Which failure is the cause, by the rule above; None without any. `seen` then knows these failures too."""
    if not failures:
        return None
    guards = tuple(read_guard(failure.guard) for failure in failures)
    left = [i for i, guard in enumerate(guards) if not any(_passed(guard, other) for other in guards)]
    left = _specialised(left, guards) or left
    left = [i for i in left if guards[i].signature not in seen.signatures] or left
    left = [i for i in left if (failures[i].entry, guards[i].text) not in seen.texts] or left
    best = max(left, key=lambda i: (_number(failures[i].entry), -i))
    seen.note(failures, guards)
    return Cause(best, guards[best], guards[best].actual or _actual(guards[best], guards))


def in_view_of(guard: Guard, seen: Seen) -> Guard:
    """An identity that is one of a plain value: True, False and None are compared by identity up to 2.6.

    They are objects of the interpreter itself, whose address is low unless it was built to be moved; a name that failed
    as a value or by its type as well is one of a plain value; and `training` of a module is True or False.
    """
    if guard.kind != "object" or guard.step == BEFORE_ALL:
        return guard
    number = _IDENTITY.search(guard.text)
    low = number is not None and int(number[1]) < LOWEST_OBJECT
    plain = (
        low
        or guard.source.endswith(".training")
        or any(kind in ("value", "type") and source == guard.source for kind, source, _, _ in seen.signatures)
    )
    return replace(guard, kind="value", expected="") if plain else guard


def _passed(guard: Guard, other: Guard) -> bool:
    """Whether the call passed this guard in the entry that failed at the other one."""
    if guard.step == BEFORE_ALL:
        return other.step > BEFORE_ALL
    if other.step == AFTER_ALL:
        return guard.step < AFTER_ALL
    return guard.source == other.source and 9 < guard.step < other.step < AFTER_ALL


def _specialised(left: list[int], guards: tuple[Guard, ...]) -> list[int]:
    return [i for i in left if _LOWER_BOUND.match(guards[i].expected) and _actual(guards[i], guards) in ("0", "1")]


def _actual(guard: Guard, guards: tuple[Guard, ...]) -> str:
    """The value that the call had, as another guard on the same thing tells it."""
    same = (g.actual for g in guards if (g.kind, g.source, g.at) == (guard.kind, guard.source, guard.at) and g.actual)
    return next(same, "")


def _number(entry: str) -> int:
    tail = entry.rpartition("/")[2]
    return int(tail) if tail.isdecimal() and len(tail) < 10 else -1
