"""The child that searches one file and goes on as the file grows: `python -I -S -B search_child.py QUERY`.

A regular expression holds the interpreter for as long as it likes, so it runs here and not in the console. The file
is descriptor `fd` of the query (JSON); only `pread` is used on it. The child ends when stdin closes. Said on stdout:

    h LINE START END     a line that matches, and where in it (bytes)
    p BYTES COUNT        searched so far, and how many lines match
    e                    all that is there was searched
    x WORDS              the expression cannot be used

A block that takes longer than `BLOCK_S` ends the child with SIGALRM: the expression explodes on this text.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

BLOCK = 1 << 20
LONGEST = 1 << 16
"""Bytes of one line that are searched."""
BLOCK_S = 2.0
POLL_S = 0.2

Match = tuple[int, int, int]
Finder = Callable[[bytes], Iterator[Match]]


def literal(words: bytes, ignore_case: bool) -> Finder:
    """Finds the lines of a text that hold `words`: (line, start, end) each, one match a line."""

    def find(text: bytes) -> Iterator[Match]:
        text = text.lower() if ignore_case else text
        line = counted = 0
        at = text.find(words)
        while at >= 0:
            line += text.count(b"\n", counted, at)
            counted = at
            start = at - 1 - text.rfind(b"\n", 0, at)
            yield line, start, start + len(words)
            end = text.find(b"\n", at)
            at = text.find(words, end) if end >= 0 else -1

    words = words.lower() if ignore_case else words
    return find


def expression(words: bytes, ignore_case: bool) -> Finder:
    """The same for a regular expression, which sees one line at a time, without its newline."""
    search = re.compile(words, re.IGNORECASE if ignore_case else 0).search

    def find(text: bytes) -> Iterator[Match]:
        for number, line in enumerate(text.split(b"\n")):
            match = search(line[:LONGEST])
            if match:
                yield number, match.start(), match.end()

    return find


class Scan:
    """Where the search stands: whole lines are searched as they come, a last one without its end as it stands."""

    def __init__(self, fd: int, find: Finder, keep: int) -> None:
        self._fd, self._find, self._keep = fd, find, keep
        self._carry = b""
        self._line = self._offset = self._count = 0
        self._said = -1
        self._at_end = False

    def step(self) -> bool:
        """Search one block, or what stands at the end; False when there is nothing new."""
        signal.setitimer(signal.ITIMER_REAL, BLOCK_S)
        data = os.pread(self._fd, BLOCK, self._offset)
        said = self._block(data) if data else self._end()
        signal.setitimer(signal.ITIMER_REAL, 0)
        if said:
            say(f"{said}p {self._offset} {self._count}\n")
        return bool(data)

    def _block(self, data: bytes) -> str:
        self._offset += len(data)
        self._at_end = False
        whole, newline, rest = data.rpartition(b"\n")
        said = "\n"
        if newline:
            text = self._carry + whole
            said = self._hits(text) or said
            self._line += text.count(b"\n") + 1
            self._carry = b""
        self._carry = (self._carry + rest)[: 2 * LONGEST]
        return said

    def _end(self) -> str:
        """The end is reached: say so once, with the line that has no newline yet."""
        if self._at_end:
            return ""
        self._at_end = True
        said = self._hits(self._carry)
        self._said = self._line if said else -1
        return said + "e\n"

    def _hits(self, text: bytes) -> str:
        said: list[str] = []
        for number, start, end in self._find(text):
            line = self._line + number
            if line == self._said:
                continue  # it matched when it still had no end
            self._count += 1
            if self._count <= self._keep:
                said.append(f"h {line} {start} {end}\n")
        return "".join(said)


def say(text: str) -> None:
    """Write all of `text` to stdout."""
    data = text.encode()
    while data:
        data = data[os.write(1, data) :]


def run(query: dict[str, Any]) -> int:
    """Search until stdin closes."""
    words = query["words"].encode("utf-8", "surrogateescape")
    try:
        find = (expression if query["regex"] else literal)(words, query["ignore_case"])
    except (re.error, OverflowError, RecursionError) as error:
        say(f"x {error}\n".replace("\n", " ") + "\n")
        return 0
    scan = Scan(query["fd"], find, query["keep"])
    wait_s = 0.0
    while not select.select([0], [], [], wait_s)[0]:
        wait_s = 0.0 if scan.step() else POLL_S
    return 0


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1])))
