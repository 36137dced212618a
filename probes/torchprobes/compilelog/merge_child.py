"""The child that orders the lines of several files by time: `python -I -S -B merge_child.py REQUEST`.

REQUEST (JSON): `parts`, a list of (descriptor, where in the file to begin). Only `pread` is used on them. The child
ends when stdin closes. Said on stdout, each behind a `HEAD` (kind, A, B, bytes that follow):

    r   from row A on, each byte is the file of one row; B bytes of all files were read
    l   late lines: (file, line) of 8 bytes each
    e   all that is there was ordered
"""

from __future__ import annotations

import json
import os
import select
import struct
import sys
from array import array
from functools import partial

if __package__ in (None, ""):  # run by path, isolated: nothing of the caller's environment is on sys.path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from torchprobes.compilelog.merging import Merger

HEAD = struct.Struct("<cQQI")
POLL_S = 0.1


def say(kind: bytes, a: int = 0, b: int = 0, data: bytes = b"") -> None:
    """Write one message to stdout."""
    message = HEAD.pack(kind, a, b, len(data)) + data
    while message:
        message = message[os.write(1, message) :]


def _pread(fd: int, start: int, count: int, offset: int) -> bytes:
    return os.pread(fd, count, start + offset)


def run(parts: list[tuple[int, int]]) -> int:
    """Order until stdin closes."""
    merger = Merger([partial(_pread, fd, start) for fd, start in parts])
    for row, files in merger.begin():
        say(b"r", row, merger.read_bytes, files)
    say(b"e")
    while not select.select([0], [], [], POLL_S)[0]:
        told = merger.follow()
        if told is None:
            continue
        if merger.late:
            say(b"l", data=array("Q", [number for pair in merger.late for number in pair]).tobytes())
            merger.late.clear()
        say(b"r", told[0], merger.read_bytes, told[1])
    return 0


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])["parts"]))
