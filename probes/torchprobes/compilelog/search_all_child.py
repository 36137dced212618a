"""The child that searches many files once: `python -I -S -B search_all_child.py`, the request on stdin.

The request is one line of JSON: `paths`, and `search` as for `judging`. Said on stdout, a JSON line a file, in order:
{"at": index of the path, "count": lines that match, "first": the first of them or null, "cause": "" or why not}; then
{"finished": true}; or {"cause"} if the expression cannot be used. Links and what is no regular file are not opened.
A file on a dead mount hangs this child alone. Ends when stdin closes.
"""

from __future__ import annotations

import json
import os
import re
import select
import struct
import sys
from typing import Any

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from torchprobes.compilelog.judging import Judge, judge_of
from torchprobes.compilelog.logfile import open_regular, why
from torchprobes.compilelog.pieces import part_of, whole
from torchprobes.compilelog.stripes import LONGEST, PRead, TooSlow, lines_in

_ANSWER = struct.Struct("<QQq")


class Count:
    """How many lines that begin in one stretch of the file match, and which is the first."""

    def __init__(self, pread: PRead, judge: Judge) -> None:
        self._pread, self._judge = pread, judge

    def __call__(self, start: int, stop: int) -> bytes:
        """Lines, those that match, the first of these or -1."""
        found = lines_in(self._pread, start, stop)
        return self._counted(found[1]) if found else _ANSWER.pack(0, 0, -1)

    def rest(self, start: int, stop: int) -> bytes:
        """The same for a last line without its end."""
        return self._counted(self._pread(min(LONGEST, stop - start), start))

    def _counted(self, text: bytes) -> bytes:
        flags = self._judge(text, None)
        return _ANSWER.pack(len(flags), flags.count(1), flags.find(1))


def counted(path: str, judge: Judge) -> tuple[int, int | None]:
    """How many lines of a file match, and the first of them; what is no regular file, or a link, raises OSError."""
    fd = open_regular(path, links=False)
    try:
        pread, size = part_of(fd, 0, None)
        count = Count(pread, judge)
        lines = hits = 0
        first: int | None = None
        for answer in whole(pread, size(), count, count.rest):
            more, matched, at = _ANSWER.unpack(answer)
            if first is None and at >= 0:
                first = lines + at
            lines, hits = lines + more, hits + matched
        return hits, first
    finally:
        os.close(fd)


def told(path: str, judge: Judge) -> dict[str, object]:
    """What is said of one file."""
    try:
        count, first = counted(path, judge)
    except TooSlow:
        return {"count": 0, "first": None, "cause": "the expression takes too long on this text"}
    except EOFError:
        return {"count": 0, "first": None, "cause": "the file became shorter"}
    except OSError as error:
        return {"count": 0, "first": None, "cause": why(error)}
    return {"count": count, "first": first, "cause": ""}


def say(**said: object) -> None:
    """One line on stdout."""
    os.write(1, json.dumps(said).encode() + b"\n")


def run(request: dict[str, Any]) -> int:
    """Search all files, until stdin closes."""
    try:
        judge, _ = judge_of(request)
    except (re.error, OverflowError, RecursionError) as error:
        say(cause=f"not a regular expression: {error}")
        return 1
    for at, path in enumerate(request["paths"]):
        if select.select([0], [], [], 0)[0]:
            return 1
        say(at=at, **told(path, judge))
    say(finished=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.stdin.readline())))
