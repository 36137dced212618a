"""The child that writes the rows of a log to a new file: `python -I -S -B export_child.py REQUEST`.

REQUEST (JSON): `parts` and `tabs` as for `scan_child`, each part with the `size` that is written; `order`, null or a
descriptor of the part of each row, one byte each; `filter` as for `judging`; and `path`, which must not be there yet.
Said on stdout, as JSON lines: {"rows", "finished"} or {"cause"}. When stdin closes, or nothing
more can be written, the file is removed.
"""

from __future__ import annotations

import json
import os
import re
import select
import struct
import sys
from collections.abc import Iterator
from itertools import compress
from typing import Any

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from torchprobes.compilelog.judging import Judge, judge_of
from torchprobes.compilelog.pieces import BACK, before_of, last_newline, part_of, whole, without_tabs
from torchprobes.compilelog.stripes import LONGEST, PIECE, PRead, TooSlow, alarm, lines_in

ROWS = 5_000
"""Rows of several files written at once."""

MOST_LINE = 64 << 20
"""Of a longer line of several files only so much is written."""

_ANSWER = struct.Struct("<IQQ")


class Chosen:
    """The lines that are kept, of those that begin in one stretch of the file."""

    def __init__(self, pread: PRead, judge: Judge, tabs: bool) -> None:
        self._pread, self._judge, self._tabs = pread, judge, tabs

    def __call__(self, start: int, stop: int) -> bytes:
        """An answer: how many lines, what of the file follows on the lines, and the lines."""
        found = lines_in(self._pread, start, stop)
        if found is None:
            return _ANSWER.pack(0, 0, 0)
        begin, text, end = found
        return self._kept(begin, text, end + 1)

    def rest(self, start: int, stop: int) -> bytes:
        """The same for a last line without its end."""
        return self._kept(start, self._pread(min(LONGEST, stop - start), start), stop)

    def _kept(self, begin: int, text: bytes, stop: int) -> bytes:
        """What is kept of the lines in [begin, stop); `text` has all of them but the end of the last one."""
        after = begin + len(text)
        text = without_tabs(text) if self._tabs else text
        before = before_of(self._pread, begin, BACK)
        flags = self._judge(before + text, None)[before.count(b"\n") :]
        rows = flags.count(1)
        if rows < len(flags):
            text = b"\n".join(compress(text.split(b"\n"), flags))
        if flags[-1]:
            return _ANSWER.pack(rows, after, stop - after) + text
        return _ANSWER.pack(rows, 0, 0) + text + (b"\n" if rows else b"")


def say(**told: object) -> None:
    """One line on stdout."""
    os.write(1, json.dumps(told).encode() + b"\n")


def one(request: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """How many rows, and what to write of them, again and again: the kept lines of one file."""
    part = request["parts"][0]
    pread = part_of(part["fd"], part["start"], part["stop"])[0]
    chosen = Chosen(pread, judge_of(request)[0], request["tabs"])
    for answer in whole(pread, part["size"], chosen, chosen.rest):
        rows, after, count = _ANSWER.unpack_from(answer)
        yield rows, answer[_ANSWER.size :]
        for start in range(after, after + count, PIECE):
            yield 0, pread(min(PIECE, after + count - start), start)


def several(request: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The same for several files in the order that was told, line by line."""
    with os.fdopen(request["order"], "rb") as file:
        file.seek(0)
        order = file.read()
    files = [flagged(part, request) for part in request["parts"]]
    for start in range(0, len(order), ROWS):
        lines = [next(files[source], (b"", 0)) for source in order[start : start + ROWS]]
        kept = [line for line, flag in lines if flag]
        yield len(kept), b"".join(kept)


def flagged(part: dict[str, Any], request: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
    """The lines of one file, each with its newline, and whether it is kept."""
    pread = part_of(part["fd"], part["start"], part["stop"])[0]
    judge, size = judge_of(request)[0], part["size"]
    stop = last_newline(pread, size)
    for start in range(0, max(1, stop), PIECE) if stop >= 0 else ():
        found = lines_in(pread, start, min(stop, start + PIECE))
        if found is None:
            continue
        begin, text, end = found
        lines = text.split(b"\n")
        lines[-1] += pread(min(MOST_LINE, end - begin - len(text)), begin + len(text))
        before = before_of(pread, begin, BACK)
        with alarm():
            flags = judge(before + text, None)[before.count(b"\n") :]
        yield from ((line + b"\n", flag) for line, flag in zip(lines, flags, strict=True))
    if stop + 1 < size:
        line = pread(min(MOST_LINE, size - stop - 1), stop + 1)
        before = before_of(pread, stop + 1, BACK)
        yield line + b"\n", judge(before + line[:LONGEST], None)[-1]


def write(request: dict[str, Any], out: int) -> bool:
    """Write all rows; False if nobody wants them any more."""
    done = 0
    for rows, data in one(request) if request["order"] is None else several(request):
        if select.select([0], [], [], 0)[0]:
            return False
        write_all(out, data)
        done += rows
        say(rows=done, finished=False)
    os.close(out)
    say(rows=done, finished=True)
    return True


def write_all(out: int, data: bytes) -> None:
    """All of `data`."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(out, rest) :]


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
    except EOFError:
        say(cause="the file became shorter")
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
