"""The logs of all ranks as one, by time: the newest lines in memory, read by a thread of its own.

A line's time is the stamp that it prints, else the watcher's mark for the bytes that it stands in, else that of the
line before it; how exactly it is known is said with each line. Lines of one log keep their order. Nothing is written.
"""

from __future__ import annotations

import heapq
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from ..compilelog.logfile import Change, LogFile
from ..rundir import RunDir
from .node import NodeFolder, nodes
from .signs.stamps import stamp_ns
from .watch.marks import MarkReader, path_of

KEPT: Final = 20_000
LINE_BYTES: Final = 2000
TICK_S: Final = 0.1
PLACES_S: Final = 1.0
SHARE: Final = 0.1
"""The part of a core that following logs may cost while somebody looks at them."""

SLOWEST_S: Final = 2.0
BEHIND_BYTES: Final = 8 << 20
"""What is read of all logs at once: of what is older, or came faster than a person reads, only the end."""

LEAST_BYTES: Final = 16 << 10
MOST_WATCH_BYTES: Final = 64 << 20
FAR_NS: Final = 86_400_000_000_000
_PREFIX: Final = re.compile(r"^\[(?:rank|default)\d{1,6}\]: ?")
PRINTED: Final = "printed"
UNKNOWN: Final = "unknown"


class LogPlace(NamedTuple):
    """One log of one rank: `stream` is out or err, `marks` the watcher's file of marks."""

    rank: int
    attempt: int
    stream: str
    path: str
    marks: str


class MergedLine(NamedTuple):
    """One line. `t_ns` is 0 where nothing tells; `precision` is "printed", "±0.1 s" or "unknown"."""

    t_ns: int
    rank: int
    attempt: int
    stream: str
    text: str
    precision: str


class _Entry(NamedTuple):
    """A line as it is sorted: by a time that never runs backwards within its log, then by log and place."""

    order_ns: int
    log: int
    number: int
    line: MergedLine


@dataclass(frozen=True, slots=True)
class LinePage:
    """Lines [first, first + count) of those that are kept, at one revision; `total` is how many there are."""

    revision: int
    first: int
    total: int
    lines: tuple[MergedLine, ...]


def places(run: RunDir) -> list[LogPlace]:
    """All logs of all ranks and attempts of a run, as its watchers recorded them. Reads the run directory."""
    return [place for node in nodes(run) for place in _places_of(node)]


def _places_of(node: NodeFolder) -> Iterable[LogPlace]:
    try:
        with node.watch.open("rb") as file:
            lines = file.read(MOST_WATCH_BYTES).splitlines()
    except OSError:
        return
    for line in lines:
        if b'"rank"' not in line[:40]:
            continue
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and told.get("ev") == "rank":
            yield from _places_in(node, told)


def _places_in(node: NodeFolder, told: dict[str, object]) -> Iterable[LogPlace]:
    rank, attempt = told.get("rank"), told.get("attempt")
    if not isinstance(rank, int) or not isinstance(attempt, int):
        return
    streams = (("out", told.get("stdout")), ("err", told.get("stderr")))
    seen: set[str] = set()
    for stream, path in streams:
        if isinstance(path, str) and path.startswith("/") and path not in seen:
            seen.add(path)
            yield LogPlace(rank, attempt, stream, path, str(path_of(node.marks, attempt, rank, stream)))


class _Log:
    """One log, followed from its end."""

    def __init__(self, number: int, place: LogPlace, kept: int) -> None:
        self.skipped = False
        """Whether there is more of it than was read."""
        self._number, self._place, self._kept = number, place, kept
        self._file = LogFile(place.path, links=False)
        self._marks = MarkReader(Path(place.marks))
        self._offset = 0
        self._rest = b""
        self._count = 0
        self._newest = (0, 0)
        """Order and time of its last line."""

    def look(self, budget: int) -> list[_Entry]:
        """Its new whole lines, at most so many bytes of them: the newest."""
        try:
            change = self._file.look(self._offset)
            if change is not Change.NONE:
                self._offset, self._rest = 0, b""
            if self._file.size <= self._offset:
                return []
            if self._file.size - self._offset > budget:
                self._jump(self._file.size - budget)
            data = self._file.pread(budget, self._offset)
        except OSError:
            return []
        start = self._offset - len(self._rest)
        self._offset += len(data)
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest[-LINE_BYTES:]
        if not newline:
            return []
        self._marks.refresh()
        return self._entries(whole, start)

    def _jump(self, offset: int) -> None:
        """Go on at the first line after `offset`."""
        head = self._file.pread(LEAST_BYTES, offset)
        self._offset = offset + head.find(b"\n") + 1
        self._rest, self.skipped = b"", True

    def _entries(self, whole: bytes, start: int) -> list[_Entry]:
        found: list[_Entry] = []
        lines = whole.split(b"\n")
        if len(lines) > self._kept:  # nobody will see the others
            self.skipped = True
            start += sum(len(raw) + 1 for raw in lines[: -self._kept])
        for raw in lines[-self._kept :]:
            if raw.strip():
                found.append(self._entry(raw, start))
            start += len(raw) + 1
        return found

    def _entry(self, raw: bytes, offset: int) -> _Entry:
        shown = raw[-LINE_BYTES:].rpartition(b"\r")[2] if b"\r" in raw.rstrip(b"\r") else raw[:LINE_BYTES]
        text = shown.decode(errors="replace")
        t_ns, precision = self._when(text, self._marks.at(offset))
        order = max(self._newest[0], t_ns)
        self._newest = (order, t_ns)
        self._count += 1
        place = self._place
        line = MergedLine(t_ns, place.rank, place.attempt, place.stream, text, precision)
        return _Entry(order, self._number, self._count, line)

    def _when(self, text: str, marked: tuple[int, float] | None) -> tuple[int, str]:
        """When a line was written, and how exactly that is known. A stamp far from its mark is a text of the user's."""
        seen = marked[0] if marked else self._newest[1] or time.time_ns()
        printed = stamp_ns(_PREFIX.sub("", text, count=1), seen)
        if printed is not None and abs(printed - seen) < FAR_NS:
            return printed, PRINTED
        if marked is not None:
            return marked[0], f"±{max(0.1, marked[1]):.1f} s"
        return self._newest[1], UNKNOWN

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class MergedLog:
    """The newest lines of all logs that `find` names. All methods return at once, but the first look takes a moment.

    `revision` grows when lines came; `skipped` says that there is more in the files than is kept.
    """

    def __init__(self, find: Callable[[], Sequence[LogPlace]], kept: int = KEPT) -> None:
        self.revision = 0
        self.skipped = False
        self.cause = ""
        self._find, self._kept = find, kept
        self._entries: list[_Entry] = []
        self._logs: dict[LogPlace, _Log] = {}
        self._filtered: tuple[int, frozenset[int] | None, list[_Entry]] = (-1, None, [])
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.settled = threading.Event()
        """Set once all logs that were there at the beginning were read."""
        threading.Thread(target=self._run, name="merged log", daemon=True).start()

    # --- for whoever shows it -------------------------------------------------------------------------------------

    def page(self, first: int, count: int, ranks: frozenset[int] | None = None) -> LinePage:
        """Lines by their place among those that are kept, oldest first; a negative `first` counts from the end.

        With `ranks` only theirs are counted and given.
        """
        with self._lock:
            lines = self._of(ranks)
            begin = max(0, len(lines) + first if first < 0 else min(first, len(lines)))
            shown = tuple(entry.line for entry in lines[begin : begin + max(0, count)])
            return LinePage(self.revision, begin, len(lines), shown)

    def count(self, ranks: frozenset[int] | None = None) -> int:
        """How many lines are kept."""
        with self._lock:
            return len(self._of(ranks))

    def close(self) -> None:
        """Let the thread end. Does not wait."""
        self._stopped.set()

    def _of(self, ranks: frozenset[int] | None) -> list[_Entry]:
        if ranks is None:
            return self._entries
        revision, of, lines = self._filtered
        if (revision, of) != (self.revision, ranks):
            lines = [entry for entry in self._entries if entry.line.rank in ranks]
            self._filtered = (self.revision, ranks, lines)
        return lines

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        due = 0.0
        while not self._stopped.is_set():
            begin, cost = time.monotonic(), time.thread_time()
            try:
                if begin >= due:
                    self._take_places(self._find())
                    due = begin + PLACES_S
                self._look()
                self.cause = ""
            except OSError as error:
                self.cause = (error.strerror or str(error)).lower()
            self.settled.set()
            cost = time.thread_time() - cost
            self._stopped.wait(min(SLOWEST_S, max(TICK_S, cost / SHARE)))
        for log in self._logs.values():
            log.close()

    def _take_places(self, found: Sequence[LogPlace]) -> None:
        """Follow logs that are new."""
        for place in found:
            if place not in self._logs:
                self._logs[place] = _Log(len(self._logs), place, self._kept)

    def _look(self) -> None:
        budget = max(LEAST_BYTES, BEHIND_BYTES // max(1, len(self._logs)))
        batches = [entries for log in self._logs.values() if (entries := log.look(budget))]
        if batches:
            self._take(list(heapq.merge(*batches)))

    def _take(self, fresh: list[_Entry]) -> None:
        """Put new lines where their time says, which is the end for all but those that a rank held back."""
        old = self._entries
        late = bool(old) and fresh[0] < old[-1]
        merged = list(heapq.merge(old, fresh)) if late else [*old, *fresh]
        skipped = len(merged) > self._kept or any(log.skipped for log in self._logs.values())
        with self._lock:
            self._entries = merged[-self._kept :]
            self.skipped = skipped
            self.revision += 1


def of_run(run: RunDir, kept: int = KEPT) -> MergedLog:
    """The merged logs of a run."""
    return MergedLog(lambda: places(run), kept)
