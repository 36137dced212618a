"""The child that writes the rows of a log to a new file: `python -I -S -B export_child.py REQUEST`.

REQUEST (JSON): `fd`, `start`, `stop` and `tabs` as for `scan_child`, `filter` as for `judging`, and `path`, which
must not be there yet. Said on stdout, as JSON lines: {"rows", "finished"} or {"cause"}. When stdin closes, or nothing
more can be written, the file is removed.
"""

from __future__ import annotations

import json
import os
import re
import select
import struct
import sys
from itertools import compress
from typing import Any

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from torchprobes.compilelog.judging import Judge, judge_of
from torchprobes.compilelog.pieces import BACK, MANY, before_of, last_newline, part_of, without_tabs
from torchprobes.compilelog.stripes import PIECE, PRead, TooSlow, alarm, cores, in_order, whole_lines

_ROWS = struct.Struct("<I")


class Chosen:
    """The lines that are kept, of those that begin in one stretch of the file."""

    def __init__(self, pread: PRead, judge: Judge, tabs: bool) -> None:
        self._pread, self._judge, self._tabs = pread, judge, tabs

    def __call__(self, start: int, stop: int) -> bytes:
        """How many lines, and the lines."""
        begin, data = whole_lines(self._pread, start, stop)
        return self.kept(before_of(self._pread, begin, BACK), data[:-1], b"\n") if data else _ROWS.pack(0)

    def kept(self, before: bytes, text: bytes, end: bytes) -> bytes:
        """The same for a text whose last line ends in `end`."""
        text = without_tabs(text) if self._tabs else text
        flags = self._judge(before + text)[before.count(b"\n") :]
        rows = flags.count(1)
        if rows == len(flags):
            return _ROWS.pack(rows) + text + end
        lines = b"\n".join(compress(text.split(b"\n"), flags))
        last = end if flags[-1] else b"\n"
        return _ROWS.pack(rows) + (lines + last if rows else b"")


def answers(pread: PRead, size: int, chosen: Chosen) -> Any:
    """The kept lines of the file, piece by piece, in order."""
    stop = last_newline(pread, size)
    if stop >= MANY and cores() > 1:
        yield from (answer for _, answer in in_order(chosen, 0, stop, cores()))
    else:
        for start in range(0, stop, PIECE):
            with alarm():
                answer = chosen(start, min(stop, start + PIECE))
            yield answer
    if stop < size:
        rest = pread(size - stop, stop)
        yield chosen.kept(before_of(pread, stop, BACK), rest, b"")


def say(**told: object) -> None:
    """One line on stdout."""
    os.write(1, json.dumps(told).encode() + b"\n")


def write(request: dict[str, Any], out: int) -> bool:
    """Write all rows; False if nobody wants them any more."""
    pread, size = part_of(request["fd"], request["start"], request["stop"])
    judge, _ = judge_of(request)
    rows = 0
    for answer in answers(pread, size(), Chosen(pread, judge, request["tabs"])):
        if select.select([0], [], [], 0)[0]:
            return False
        rows += _ROWS.unpack_from(answer)[0]
        data = memoryview(answer)[_ROWS.size :]
        while data:
            data = data[os.write(out, data) :]
        say(rows=rows, finished=False)
    os.close(out)
    say(rows=rows, finished=True)
    return True


def run(request: dict[str, Any]) -> int:
    """Write the file, or leave none."""
    path = request["path"]
    try:
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        say(cause=(error.strerror or str(error)).lower())
        return 1
    done = False
    try:
        done = write(request, out)
    except TooSlow:
        say(cause="the expression takes too long on this text")
    except OSError as error:
        say(cause=(error.strerror or str(error)).lower())
    except (re.error, OverflowError, RecursionError) as error:
        say(cause=f"not a regular expression: {error}")
    finally:
        if not done:
            os.unlink(path)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])))
