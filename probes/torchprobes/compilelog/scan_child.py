"""The child that says which lines of one file are wanted, and goes on as the file grows.

`python -I -S -B scan_child.py REQUEST`. An expression holds the interpreter for as long as it likes, so it runs here
and not in the console. REQUEST (JSON): `fd`, a descriptor on which only `pread` is used; `start` and `stop`, the part
of the file (`stop` null: it grows); `tabs`, whether each line loses its first tab; `spans`, how many hits are told
with their place in the line; and `search` or `filter`, see `judging`. The child ends when stdin closes.

Said on stdout, each behind a `HEAD` (kind, A, B, C, bytes that follow):

    b   A bytes were looked at, B lines; the bytes are bits from byte C of all bits on, lowest first
    s   spans of A hits, from the B-th on: start, end, start, end, ... of 4 bytes each
    e   all that is there was looked at
    x   the expression cannot be used: words

A piece that takes too long ends the child with SIGALRM: the expression explodes on this text.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import struct
import sys
from array import array
from collections.abc import Callable
from itertools import compress
from typing import Any

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from torchprobes.compilelog.judging import LONGEST, Judge, Span, judge_of
from torchprobes.compilelog.pieces import BACK, MANY, before_of, last_newline, part_of, without_tabs
from torchprobes.compilelog.stripes import FIRST, PIECE, PRead, TooSlow, alarm, cores, in_order, whole_lines

HEAD = struct.Struct("<cQQQI")
POLL_S = 0.2
_ANSWER = struct.Struct("<II")
_DIGITS = b"01" + bytes(254)

Say = Callable[..., None]


def pack(flags: bytes) -> bytes:
    """Bits of flags, lowest first."""
    if 1 not in flags:
        return bytes((len(flags) + 7) // 8)
    return int(flags[::-1].translate(_DIGITS), 2).to_bytes((len(flags) + 7) // 8, "little")


class Piece:
    """Judges the lines that begin in one stretch of the file."""

    def __init__(self, pread: PRead, judge: Judge, span: Span | None, tabs: bool, spans: int, back: int) -> None:
        self._pread, self._judge, self._span = pread, judge, span
        self._tabs, self._spans, self._back = tabs, spans, back

    def __call__(self, start: int, stop: int) -> bytes:
        """The answer of a worker: lines, hits with a span, bits, spans."""
        begin, data = whole_lines(self._pread, start, stop)
        if not data:
            return _ANSWER.pack(0, 0)
        return self.judged(before_of(self._pread, begin, self._back), data[:-1])

    def judged(self, before: bytes, text: bytes) -> bytes:
        """The answer for the lines of `text`; `before` holds the whole lines before it, each with its newline."""
        if self._tabs:
            text = without_tabs(text)
        flags = self._judge(before + text)
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
        self._say(b"b", scanned, self._lines + lines, self._lines // 8, data)
        hits = min(hits, self._spans - self._told)
        if hits:
            self._say(b"s", hits, self._told, 0, answer[_ANSWER.size + size :][: 8 * hits])
        if last:
            return
        self._told += hits
        self._lines += lines
        self._open = data[-1] if self._lines % 8 else 0

    def at_end(self) -> None:
        """All that is there was looked at."""
        self._say(b"e", 0, 0, 0, b"")


class Follow:
    """Where the scan stands in a file that grows."""

    def __init__(self, pread: PRead, size: Callable[[], int], piece: Piece, joined: Joined, back: int) -> None:
        self._pread, self._size, self._piece, self._joined, self._back = pread, size, piece, joined, back
        self.offset = 0
        self._carry = b""
        self._before = b""
        self._at_end = False

    def stripes(self, until: Callable[[], bool]) -> None:
        """Have what is there judged by several workers, if it is much."""
        stop = last_newline(self._pread, self._size())
        if stop - self.offset < MANY or cores() < 2:
            return
        for done, answer in in_order(self._piece, self.offset, stop, cores()):
            self._joined.take(done, answer)
            if until():
                return
        self.offset = stop
        self._before = before_of(self._pread, stop, self._back)

    def step(self) -> bool:
        """Judge what is new, at most a piece, or what stands at the end; False when there is nothing new."""
        data = self._pread(FIRST if not self.offset else PIECE, self.offset)
        if not data:
            self._end()
            return False
        self._at_end = False
        self.offset += len(data)
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            text = self._carry + whole
            self._joined.take(self.offset, self._piece.judged(self._before, text))
            if self._back:
                self._before = (self._before + text + b"\n")[-self._back :]
                self._before = self._before[self._before.find(b"\n") + 1 :]
            self._carry = b""
        else:
            self._joined.take(self.offset, _ANSWER.pack(0, 0))
        self._carry = (self._carry + rest)[: 2 * LONGEST]
        return True

    def _end(self) -> None:
        """The end is reached: say so once, with the line that has no newline yet."""
        if self._at_end:
            return
        self._at_end = True
        if self._carry:
            self._joined.take(self.offset, self._piece.judged(self._before, self._carry), last=True)
        self._joined.at_end()


def say(kind: bytes, a: int, b: int, c: int, data: bytes) -> None:
    """Write one message to stdout."""
    message = HEAD.pack(kind, a, b, c, len(data)) + data
    while message:
        message = message[os.write(1, message) :]


def run(request: dict[str, Any]) -> int:
    """Judge until stdin closes."""
    try:
        judge, span = judge_of(request)
    except (re.error, OverflowError, RecursionError) as error:
        say(b"x", 0, 0, 0, str(error).replace("\n", " ").encode())
        return 0
    back = BACK if "filter" in request else 0
    pread, size = part_of(request["fd"], request["start"], request["stop"])
    piece = Piece(pread, judge, span, request["tabs"], request["spans"], back)
    follow = Follow(pread, size, piece, Joined(say, request["spans"]), back)

    def ended(wait_s: float = 0.0) -> bool:
        return bool(select.select([0], [], [], wait_s)[0])

    try:
        follow.stripes(ended)
    except TooSlow:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGALRM)
    wait_s = 0.0
    while not ended(wait_s):
        with alarm():
            wait_s = 0.0 if follow.step() else POLL_S
    return 0


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])))
