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
from torchprobes.compilelog.pieces import BACK, before_of, part_of, whole, without_tabs
from torchprobes.compilelog.stripes import LONGEST, PIECE, PRead, TooSlow, lines_in

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


def write(request: dict[str, Any], out: int) -> bool:
    """Write all rows; False if nobody wants them any more."""
    pread, size = part_of(request["fd"], request["start"], request["stop"])
    judge, _ = judge_of(request)
    chosen = Chosen(pread, judge, request["tabs"])
    done = 0
    for answer in whole(pread, size(), chosen, chosen.rest):
        if select.select([0], [], [], 0)[0]:
            return False
        rows, after, count = _ANSWER.unpack_from(answer)
        write_all(out, memoryview(answer)[_ANSWER.size :])
        for start in range(after, after + count, PIECE):
            write_all(out, pread(min(PIECE, after + count - start), start))
        done += rows
        say(rows=done, finished=False)
    os.close(out)
    say(rows=done, finished=True)
    return True


def write_all(out: int, data: bytes | memoryview) -> None:
    """All of `data`."""
    while data:
        data = data[os.write(out, data) :]


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
