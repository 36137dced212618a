r"""Which lines of a text are wanted: by words or an expression (search), by level, rank and compile id (filter).

Used by the children alone. A text is a run of whole lines, without the last newline; the answer is one byte a line,
1 where it is wanted. A line is looked at up to `LONGEST`. Expressions are the person's and may explode: whoever calls
sets an alarm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any

from torchprobes.compilelog.stripes import LONGEST

DENSE = 4
"""Once one in so many lines is hit, splitting all of them is cheaper than finding each."""


class Known:
    """What is known of a text's newlines without counting them: all, and those before some places."""

    def __init__(self, lines: int, ends: Sequence[int], first: int, step: int) -> None:
        """`lines` lines; before place `first + n * step` stand `ends[n]` newlines."""
        self.lines = lines
        self._ends, self._first, self._step = ends, first, step

    def until(self, at: int) -> tuple[int, int]:
        """(newlines, place) of the last known place that is not after `at`."""
        number = min((at - self._first) // self._step, len(self._ends) - 1)
        return (self._ends[number], self._first + number * self._step) if number >= 0 else (0, 0)


Judge = Callable[[bytes, "Known | None"], bytes]
"""(a text, what is known of its newlines) -> one byte a line."""

FAR = 1 << 16
"""So far from the last hit it is cheaper to begin to count anew at a known place."""

Test = Callable[[bytes], object]
Span = Callable[[bytes], tuple[int, int]]


class Words:
    """Lines that hold `words`."""

    def __init__(self, words: bytes, ignore_case: bool) -> None:
        self._words = words.lower() if ignore_case else words
        self._ignore_case = ignore_case
        self._dense = False

    def __call__(self, text: bytes, known: Known | None = None) -> bytes:
        """One byte a line."""
        if self._ignore_case:
            text = text.lower()
        if self._dense:
            words = self._words
            flags = bytes([words in line for line in text.split(b"\n")])
        else:
            flags = self._found(text, known)
        self._dense = flags.count(1) * DENSE > len(flags)
        return flags

    def _found(self, text: bytes, known: Known | None) -> bytes:
        at = text.find(self._words)
        flags = bytearray(known.lines if known else text.count(b"\n") + 1)
        line = counted = 0
        while at >= 0:
            if known and at - counted > FAR:
                line, counted = known.until(at)
            line += text.count(b"\n", counted, at)
            flags[line] = 1
            counted = text.find(b"\n", at)
            at = text.find(self._words, counted) if counted >= 0 else -1
        return bytes(flags)

    def span(self, line: bytes) -> tuple[int, int]:
        """Where in a line that holds them they stand first, in bytes."""
        at = (line.lower() if self._ignore_case else line).find(self._words)
        return (at, at + len(self._words)) if at >= 0 else (0, 0)


class Expression:
    """Lines in which a regular expression matches; it sees one line at a time, without its newline.

    Raises:
        re.error, OverflowError, RecursionError: it is none.
    """

    def __init__(self, words: bytes, ignore_case: bool) -> None:
        self._search = re.compile(words, re.IGNORECASE if ignore_case else 0).search

    def __call__(self, text: bytes, known: Known | None = None) -> bytes:
        """One byte a line."""
        search = self._search
        return bytes([search(line, 0, LONGEST) is not None for line in text.split(b"\n")])

    def span(self, line: bytes) -> tuple[int, int]:
        """Where in a line it matches first, in bytes."""
        match = self._search(line, 0, LONGEST)
        return match.span() if match else (0, 0)


def words_or_expression(spec: dict[str, Any]) -> Words | Expression:
    """The judge of {"words", "regex", "ignore_case"}."""
    words = spec["words"].encode("utf-8", "surrogateescape")
    return (Expression if spec["regex"] else Words)(words, spec["ignore_case"])


# --- torch's line prefix ------------------------------------------------------------------------------------------

_OF_LETTER = {"V": "DEBUG", "I": "INFO", "W": "WARNING", "E": "ERROR", "C": "CRITICAL"}
_ANY_RANK = r"(?:\[(?:rank|default)\d{1,9}\]:)*"
_GLOG = r"\d{4} \d\d:\d\d:"
_GLOG_REST = r"\d\d\.\d{1,9} \d+ [^\s:]{1,400}:\d+\]"
_OLD_TIME = r"\[20\d\d-\d\d-\d\d \d\d:\d\d:\d\d,\d{1,9}\]"
_ANY_ID = r"(?: \[[^\]]{1,200}\])?"
_OLD_NAME = r" [\w.]{1,400}: "


def _rank(ranks: Sequence[int] | None) -> str:
    """The last rank before the prefix counts: torchrun's `[default0]:` is the local one."""
    if ranks is None:
        return _ANY_RANK
    numbers = "|".join(str(rank) for rank in ranks) or "(?!)"
    return rf"{_ANY_RANK[:-1]}*?\[(?:rank|default)(?:{numbers})\]:(?!\[(?:rank|default)\d)"


def _ids(ids: Iterable[str] | None, optional: str) -> str:
    """` [0/0_1]`: an id without an attempt stands for all of its attempts."""
    if ids is None:
        return optional
    return rf" \[(?:{'|'.join(re.escape(one) for one in ids) or '(?!)'})(?:_\d+)?\]"


def _prefix(spec: dict[str, Any]) -> re.Pattern[bytes]:
    """Group 1 matches a wanted prefix, group 2 any other; a line without a prefix does not match."""
    letters = "".join(letter for letter in _OF_LETTER if spec["levels"] is None or letter in spec["levels"])
    names = "|".join(_OF_LETTER[letter] for letter in letters) or "(?!)"
    ids = spec["compile_ids"]
    rest = "" if ids is None else _GLOG_REST + _ids(ids, "")  # a torn prefix has a level, too
    glog = f"[{letters}]{_GLOG}{rest}" if letters else "(?!)"
    old = rf"{_OLD_TIME}{_ids(ids, _ANY_ID)}{_OLD_NAME}\[(?:{names})\]"
    wanted = rf"{_rank(spec['ranks'])}(?:{glog}|{old})"
    other = f"{_ANY_RANK}(?:[VIWEC]{_GLOG}|{_OLD_TIME})"
    return re.compile(rf"({wanted})|({other})".encode())


_LOUD = re.compile(rf"{_ANY_RANK}(?:[WEC]{_GLOG}|{_OLD_TIME}[^:]{{1,700}}: \[(?:WARNING|ERROR|CRITICAL)\])".encode())
_BEGINS = b"Traceback (most recent call last):"
_LINKS = (_BEGINS, b"During handling of the above exception", b"The above exception was the direct cause")
_BAR = re.compile(rb"\r+(?=[^\r])")


class Prefixed:
    """Lines by torch's prefix. A line without one is of level "-", has no rank but a launcher's, and no compile id.

    A Python traceback that follows a warning or an error without a prefix of its own goes with that line.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._match = _prefix(spec).match
        self._bare = (spec["levels"] is None or "-" in spec["levels"]) and spec["compile_ids"] is None
        ranks = spec["ranks"]
        self._of_rank: Test = (lambda _: True) if ranks is None else re.compile(_rank(ranks).encode()).match

    def __call__(self, lines: list[bytes]) -> bytes:
        """One byte a line."""
        match = self._match
        kinds = [found.lastindex if (found := match(line)) else 0 for line in lines]
        flags = bytearray(kind == 1 for kind in kinds)
        if 0 in kinds:
            self._without(lines, kinds, flags)
        return bytes(flags)

    def _without(self, lines: list[bytes], kinds: list[int | None], flags: bytearray) -> None:
        at = -1
        try:
            while True:
                at = kinds.index(0, at + 1)
                at = self._run(lines, kinds, flags, at)
        except ValueError:  # no more of them
            return

    def _run(self, lines: list[bytes], kinds: list[int | None], flags: bytearray, at: int) -> int:
        """Judge the lines without a prefix from `at` on; the last of them."""
        goes_with = at > 0 and lines[at].startswith(_BEGINS) and _LOUD.match(lines[at - 1]) is not None
        of, open_ = flags[at - 1] if goes_with else 0, goes_with
        while at < len(lines) and kinds[at] == 0:
            line = lines[at]
            if goes_with and not open_:  # after the exception's own line only another traceback goes on
                goes_with = not line or line.startswith(_LINKS)
                open_ = line.startswith(_BEGINS)
            elif goes_with and line and line[0] not in b" \t" and not line.startswith(_BEGINS):
                open_ = False
            flags[at] = of if goes_with else self._bare_line(line)
            at += 1
        return at - 1

    def _bare_line(self, line: bytes) -> bool:
        if b"\r" in line:  # a progress bar: torch's line may begin where it ended
            last = _BAR.split(line[-LONGEST:])[-1]
            found = self._match(last)
            if found:
                return found.lastindex == 1
        return self._bare and bool(self._of_rank(line))


class Kept:
    """What a filter keeps: a prefix that is wanted, `include` in the line, `exclude` not."""

    def __init__(self, spec: dict[str, Any]) -> None:
        by_prefix = any(spec[key] is not None for key in ("levels", "ranks", "compile_ids"))
        self._prefixed = Prefixed(spec) if by_prefix else None
        self._tests = [
            (words_or_expression(spec[key]), flag) for key, flag in (("include", 1), ("exclude", 0)) if spec[key]
        ]

    def __call__(self, text: bytes, known: Known | None = None) -> bytes:
        """One byte a line."""
        if self._prefixed:
            flags = self._prefixed(text.split(b"\n"))
        else:
            flags = b"\1" * (known.lines if known else text.count(b"\n") + 1)
        for judge, flag in self._tests:
            flags = _also(text, flags, judge, flag)
        return flags


def _also(text: bytes, flags: bytes, judge: Judge, flag: int) -> bytes:
    """Those of the wanted lines for which `judge` says `flag`."""
    chosen = flags.count(1)
    if not chosen:
        return flags
    if chosen == len(flags):
        judged = judge(text, None)
        return judged if flag else judged.translate(_NOT)
    judged_some = iter(judge(b"\n".join(compress(text.split(b"\n"), flags)), None))
    return bytes([one and next(judged_some) == flag for one in flags])


_NOT = bytes([1, 0]) + bytes(254)


def judge_of(spec: dict[str, Any]) -> tuple[Judge, Span | None]:
    """The judge of a request: `spec` is {"search": ...} or {"filter": ...}; a search also says where in a line."""
    if "search" in spec:
        found = words_or_expression(spec["search"])
        return found, found.span
    return Kept(spec["filter"]), None
