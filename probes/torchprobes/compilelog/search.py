"""A search in one log, literal or by regular expression, in a child that can be killed: hits as they are found."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path

KEPT = 200_000
"""Hits whose place is kept; counting goes on beyond."""

CHILD = str(Path(__file__).with_name("search_child.py"))


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for. Smart case: letters match both cases unless one of them is a capital."""

    words: str
    regex: bool = False

    @property
    def ignore_case(self) -> bool:
        r"""Whether no capital was typed; the `\S` of an expression is no capital."""
        words = re.sub(r"\\.", "", self.words) if self.regex else self.words
        return words == words.lower()


@dataclass(frozen=True, slots=True)
class SearchView:
    """A search at one instant."""

    query: Query | None = None
    count: int = 0
    """Lines that match, among the bytes searched."""
    searched_bytes: int = 0
    at_end: bool = False
    """Whether all that is there was searched; more may come."""
    cause: str = ""
    """Why the search ended early: one line; "" if it did not."""


class Search:
    """One running search; `query` None is no search at all."""

    def __init__(self, query: Query | None, fd: int) -> None:
        """Start it on descriptor `fd`, which is taken over and closed."""
        self.query = query
        self._view = SearchView(query=query)
        self._lines, self._starts, self._ends = array("Q"), array("I"), array("I")
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False
        if query is not None:
            self._start(query, fd)

    def _start(self, query: Query, fd: int) -> None:
        request = json.dumps(
            {"words": query.words, "regex": query.regex, "ignore_case": query.ignore_case, "fd": fd, "keep": KEPT}
        )
        argv = [sys.executable, "-I", "-S", "-B", CHILD, request]
        pipe = subprocess.PIPE
        try:
            self._child = subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/", pass_fds=(fd,)
            )
        except (OSError, ValueError) as error:
            self._view = SearchView(query=query, cause=f"the search could not start: {error}")
            return
        finally:
            os.close(fd)
        threading.Thread(target=self._listen, args=(self._child,), name="search", daemon=True).start()

    def view(self) -> SearchView:
        """The newest view."""
        return self._view

    def next(self, line: int) -> int | None:
        """The first matching line after `line` that is kept."""
        at = bisect_right(self._lines, line)
        return self._lines[at] if at < len(self._lines) else None

    def previous(self, line: int) -> int | None:
        """The last matching line before `line`."""
        at = bisect_left(self._lines, line)
        return self._lines[at - 1] if at else None

    def rank(self, line: int) -> int:
        """How many matching lines there are up to and with `line`."""
        return bisect_right(self._lines, line)

    def span(self, line: int) -> tuple[int, int] | None:
        """Where `line` matches first, in bytes; None if it is no hit."""
        at = bisect_left(self._lines, line)
        hit = at < len(self._ends) and self._lines[at] == line
        return (self._starts[at], self._ends[at]) if hit else None

    def stop(self) -> None:
        """End it; does not wait."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()

    # --- the thread that listens ------------------------------------------------------------------------------

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            if not self._take(line.rstrip(b"\n")):
                break
        child.kill()
        code = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        if not self._stopped and not self._view.cause:
            slow = code == -signal.SIGALRM
            self._say(cause="the expression takes too long on this text" if slow else f"the search ended ({code})")

    def _take(self, line: bytes) -> bool:
        kind, _, rest = line.partition(b" ")
        if kind == b"h":
            number, start, end = map(int, rest.split())
            self._starts.append(min(start, 0xFFFFFFFF))
            self._ends.append(min(end, 0xFFFFFFFF))
            self._lines.append(number)
        elif kind == b"p":
            done, count = map(int, rest.split())
            self._say(count=count, searched_bytes=done)
        elif kind == b"e":
            self._say(at_end=True)
        elif kind == b"x":
            self._say(cause=f"not a regular expression: {rest.decode(errors='replace').strip()}")
            return False
        return True

    def _say(
        self, count: int | None = None, searched_bytes: int | None = None, at_end: bool = False, cause: str = ""
    ) -> None:
        old = self._view
        self._view = SearchView(
            query=old.query,
            count=old.count if count is None else count,
            searched_bytes=old.searched_bytes if searched_bytes is None else searched_bytes,
            at_end=at_end or (old.at_end and searched_bytes in (None, old.searched_bytes)),
            cause=cause,
        )


NO_SEARCH = Search(None, -1)
