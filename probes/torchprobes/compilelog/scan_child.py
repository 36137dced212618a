"""The child that says which lines of files are wanted, and goes on as the files grow.

`python -I -S -B scan_child.py REQUEST`. An expression holds the interpreter for as long as it likes, so it runs here
and not in the console. REQUEST (JSON): `parts`, the files; `tabs`, whether each line loses its first tab; `spans`,
how many hits of a file are told with their place in the line; and `search` or `filter`, see `judging`. A part is `fd`,
a descriptor on which only `pread` is used; `start` and `stop` (null: it grows), what of the file is looked at; and
`counts`, -1 or a descriptor of the newlines up to the end of each block that the console counted. The child ends when
stdin closes. Said on stdout, each behind a `HEAD` (kind, number of the part, A, B, C, bytes that follow):

    b   A bytes were looked at, B lines; the bytes are bits from byte C of all bits on, lowest first
    s   spans of A hits, from the B-th on: start, end, start, end, ... of 4 bytes each
    e   all that is there, of all parts, was looked at
    x   why it ends: words; an expression that is none, or that explodes on this text
"""

from __future__ import annotations

import json
import os
import re
import select
import struct
import sys
from array import array
from collections.abc import Callable
from functools import partial
from itertools import compress
from typing import Any

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from torchprobes.compilelog.judging import Known, judge_of
from torchprobes.compilelog.pieces import BACK, BLOCK, MANY, before_of, last_newline, part_of, without_tabs
from torchprobes.compilelog.stripes import FIRST, LONGEST, PIECE, PRead, TooSlow, alarm, cores, in_order, lines_in

HEAD = struct.Struct("<cHQQQI")
POLL_S = 0.2
_ANSWER = struct.Struct("<II")
_DIGITS = b"01" + bytes(254)

Say = Callable[..., None]


def pack(flags: bytes) -> bytes:
    """Bits of flags, lowest first."""
    if 1 not in flags:
        return bytes((len(flags) + 7) // 8)
    return int(flags[::-1].translate(_DIGITS), 2).to_bytes((len(flags) + 7) // 8, "little")


class Counts:
    """How many newlines the file has, as the console counted them; fewer blocks may be known than there are."""

    def __init__(self, ends: bytes) -> None:
        self._ends = array("Q", ends)

    def of(self, start: int, stop: int, begin: int) -> Known | None:
        """What is known of the lines that begin in [start, stop), the first of them at `begin`."""
        first, last = start // BLOCK, stop // BLOCK
        if start % BLOCK or stop % BLOCK or last > len(self._ends) or first >= last:
            return None
        before = self._ends[first - 1] + 1 if first else 0  # with the newline before the first line
        lines = self._ends[last - 1] - before + 1
        inside = begin // BLOCK
        ends = [end - before for end in self._ends[inside:last]]
        return Known(lines, ends, (inside + 1) * BLOCK - begin, BLOCK)


class Piece:
    """Judges the lines that begin in one stretch of the file."""

    def __init__(self, pread: PRead, request: dict[str, Any], counts: Counts) -> None:
        """Reads with `pread`; `request` is the child's.

        Raises:
            re.error, OverflowError, RecursionError: what is wanted is no expression.
        """
        self._pread, self._counts = pread, counts
        self._judge, self._span = judge_of(request)
        self._tabs, self._spans = request["tabs"], request["spans"]
        self.back = BACK if "filter" in request else 0

    def __call__(self, start: int, stop: int) -> bytes:
        """The answer of a worker: lines, hits with a span, bits, spans."""
        found = lines_in(self._pread, start, stop)
        if found is None:
            return _ANSWER.pack(0, 0)
        begin, text, _ = found
        known = None if self.back or self._tabs else self._counts.of(start, stop, begin)
        return self.judged(before_of(self._pread, begin, self.back), text, known)

    def judged(self, before: bytes, text: bytes, known: Known | None = None) -> bytes:
        """The answer for the lines of `text`; `before` holds the whole lines before it, each with its newline."""
        if self._tabs:
            text = without_tabs(text)
        flags = self._judge(before + text if before else text, known)
        if before:
            flags = flags[before.count(b"\n") :]
        spans = self._spans_of(text, flags)
        return _ANSWER.pack(len(flags), len(spans) // 2) + pack(flags) + spans.tobytes()

    def _spans_of(self, text: bytes, flags: bytes) -> array[int]:
        spans = array("I")
        if self._span is None or self._spans <= 0 or 1 not in flags:
            return spans
        for line in compress(text.split(b"\n"), flags):
            spans.extend(self._span(line[:LONGEST] if len(line) > LONGEST else line))
            self._spans -= 1
            if self._spans <= 0:
                break
        return spans


class Joined:
    """Answers in the order of the file, said as bits of the whole."""

    def __init__(self, say: Say, spans: int) -> None:
        self._say, self._spans = say, spans
        self._lines = self._told = 0
        self._open = 0
        """Bits of the last lines, fewer than 8, that do not fill a byte yet."""

    def take(self, scanned: int, answer: bytes, *, last: bool = False) -> None:
        """Say an answer; `last` is for a line without its end, which will be judged again."""
        lines, hits = _ANSWER.unpack_from(answer)
        size, rest = (lines + 7) // 8, self._lines % 8
        bits = int.from_bytes(answer[_ANSWER.size : _ANSWER.size + size], "little") << rest | self._open
        data = bits.to_bytes((rest + lines + 7) // 8, "little")
        self._say(kind=b"b", a=scanned, b=self._lines + lines, c=self._lines // 8, data=data)
        hits = min(hits, self._spans - self._told)
        if hits:
            self._say(kind=b"s", a=hits, b=self._told, c=0, data=answer[_ANSWER.size + size :][: 8 * hits])
        if last:
            return
        self._told += hits
        self._lines += lines
        self._open = data[-1] if self._lines % 8 else 0


class Follow:
    """Where the scan stands in a file that grows."""

    def __init__(self, pread: PRead, size: Callable[[], int], piece: Piece, joined: Joined) -> None:
        self._pread, self._size, self._piece, self._joined = pread, size, piece, joined
        self._offset = 0
        self._carry = b""
        self._before = b""
        self._at_end = False

    def stripes(self, until: Callable[[], bool]) -> None:
        """Have what is there judged by several workers, if it is much."""
        stop = last_newline(self._pread, self._size())
        if stop < MANY or cores() < 2:
            return
        for done, answer in in_order(self._piece, stop, cores()):
            self._joined.take(done, answer)
            if until():
                return
        self._offset = stop + 1
        self._before = before_of(self._pread, self._offset, self._piece.back)

    def step(self) -> bool:
        """Judge what is new, at most a piece, or what stands at the end; False when there is nothing new."""
        data = self._pread(FIRST if not self._offset else PIECE, self._offset)
        if not data:
            self._end()
            return False
        self._at_end = False
        self._offset += len(data)
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            text = self._carry + whole
            self._joined.take(self._offset, self._piece.judged(self._before, text))
            if self._piece.back:
                self._before = (self._before + text + b"\n")[-self._piece.back :]
                self._before = self._before[self._before.find(b"\n") + 1 :]
            self._carry = b""
        else:
            self._joined.take(self._offset, _ANSWER.pack(0, 0))
        self._carry = (self._carry + rest)[: 2 * LONGEST]
        return True

    def _end(self) -> None:
        """The end is reached: judge the line that has no newline yet, once."""
        if self._carry and not self._at_end:
            self._joined.take(self._offset, self._piece.judged(self._before, self._carry), last=True)
        self._at_end = True


def say(kind: bytes, number: int, a: int, b: int, c: int, data: bytes) -> None:
    """Write one message to stdout."""
    message = HEAD.pack(kind, number, a, b, c, len(data)) + data
    while message:
        message = message[os.write(1, message) :]


def counts_of(fd: int) -> bytes:
    """What the console counted; -1 is nothing."""
    return os.pread(fd, os.fstat(fd).st_size, 0) if fd >= 0 else b""


def follow_of(number: int, part: dict[str, Any], request: dict[str, Any]) -> Follow:
    """The scan of one part."""
    pread, size = part_of(part["fd"], part["start"], part["stop"])
    piece = Piece(pread, request, Counts(counts_of(part["counts"])))
    return Follow(pread, size, piece, Joined(partial(say, number=number), request["spans"]))


def run(request: dict[str, Any]) -> int:
    """Judge until stdin closes; why it ended before that is said."""
    words = ""
    try:
        follow_until_told(request)
    except TooSlow:
        words = "the expression takes too long on this text"
    except (re.error, OverflowError, RecursionError) as error:
        words = f"not a regular expression: {error}".replace("\n", " ")
    except EOFError:
        words = "the file became shorter"
    except OSError as error:
        words = (error.strerror or str(error)).lower()
    if words:
        say(b"x", 0, 0, 0, 0, words.encode())
    return 0


def follow_until_told(request: dict[str, Any]) -> None:
    """Judge what is there, then what comes, until stdin closes."""
    follows = [follow_of(number, part, request) for number, part in enumerate(request["parts"])]

    def ended(wait_s: float = 0.0) -> bool:
        return bool(select.select([0], [], [], wait_s)[0])

    for follow in follows:
        follow.stripes(ended)
    told = False
    while not ended(0.0 if not told else POLL_S):
        with alarm():
            more = [follow.step() for follow in follows]
        if any(more):
            told = False
        elif not told:
            say(b"e", 0, 0, 0, 0, b"")
            told = True


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])))
