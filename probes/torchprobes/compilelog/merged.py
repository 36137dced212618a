"""Several growing files as one log, by time: the order comes from a child, the lines are read where they are."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import threading
from array import array
from collections import deque
from collections.abc import Sequence

from .document import Document
from .filter import Filtering
from .lines import Line, LineIndex
from .logfile import Change
from .marks import Marks
from .one_file import SLICE, SMALL
from .region import Region
from .rows import Rows
from .scan import Part
from .spawn import close_all, let_go, spawn
from .weave import SOURCES, Weave
from .woven import KeptWoven, WovenRows

HEAD = struct.Struct("<cQQI")

MOST = 256 << 20
"""Bytes merged at most when it begins: of more, the newest part of each file."""

LATE = 65_536
"""Lines kept that came too late for their place."""

MOST_BYTES = 64 << 20
"""A message that says to be longer is none of our child's."""


class Ordering:
    """The child that orders lines, and what it said that was not taken yet."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.cause = ""
        self.said: deque[tuple[bytes, int, int, bytes]] = deque()
        self._stopped = False
        self._child: subprocess.Popen[bytes] | None = None
        request = json.dumps({"parts": [(part.fd, part.start) for part in parts]})
        held = [part.fd for part in parts]
        try:
            child = spawn("merge_child.py", request, held=held)
        except (OSError, ValueError) as error:
            self.cause = f"the merge could not start: {error}"
            return
        finally:
            close_all(held)
        self._child = child
        threading.Thread(target=self._listen, args=(child,), name="merge", daemon=True).start()

    def stop(self) -> None:
        """End it; does not wait."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        while len(head := child.stdout.read(HEAD.size)) == HEAD.size:
            kind, a, b, length = HEAD.unpack(head)
            if length > MOST_BYTES or len(data := child.stdout.read(length)) < length:
                break
            self.said.append((kind, a, b, data))
        child.kill()
        code = let_go(child)
        if not self._stopped:
            self.cause = f"the merge ended early ({code})"


class _File:
    """One of the files."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.region = Region(path)
        self.restart()

    def restart(self) -> None:
        """Forget what was read."""
        self.index, self.marks, self.marked = LineIndex(), Marks(), 0

    def part(self) -> Part:
        """A descriptor for a child; of nothing as long as the file is not there."""
        if self.region.held:
            return self.region.part(self.index.ends)
        return Part(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def slice(self, offset: int) -> bytes:
        """The next bytes from `offset` on."""
        return self.region.pread(min(SLICE, self.region.size - offset), offset)


class SeveralFiles:
    """Files whose lines are merged; those that are not there (yet) are left out until they are."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._files = [_File(path) for path in paths[:SOURCES]]
        self._more = len(paths) - len(self._files)
        self._ordering: Ordering | None = None
        self.cause = self.note = ""
        self.version = 0
        self.restart()

    def restart(self) -> None:
        """Forget what was read; the order begins anew at the next look."""
        if self._ordering is not None:
            self._ordering.stop()
        self._ordering = None
        for file in self._files:
            file.restart()
        self.marks: Sequence[Marks] = [file.marks for file in self._files]
        self._weave = Weave(len(self._files))
        self._kept: KeptWoven | None = None
        self._late: set[tuple[int, int]] = set()
        self._ordered = 0
        self._ready = False

    @property
    def held(self) -> bool:
        """Whether the order has begun."""
        return self._ordering is not None

    @property
    def lines(self) -> int:
        """Lines that were ordered."""
        return self._weave.rows

    @property
    def done_bytes(self) -> int:
        """Bytes that were ordered; what comes later is shown in the order in which it is known."""
        return self.size_bytes if self._ready else min(self._ordered, self.size_bytes - 1)

    @property
    def size_bytes(self) -> int:
        """Bytes that are merged."""
        return sum(file.region.size for file in self._files)

    def look(self) -> Change:
        """What became of the files; the order begins once one of them is there, and begins anew with another one."""
        changes = [file.region.look(file.index.size) for file in self._files]
        causes = [f"{os.path.basename(file.path)}: {file.region.cause}" for file in self._files if file.region.cause]
        self.cause = causes[0] if causes else ""
        change = next((change for change in changes if change is not Change.NONE), Change.NONE)
        if change is Change.NONE and self._ordering is None and any(file.region.held for file in self._files):
            self._begin()
        if self._ordering is not None and self._ordering.cause:
            self.cause = self._ordering.cause
        return change

    def _begin(self) -> None:
        whole = sum(file.region.whole_size for file in self._files)
        notes = [f"the first {len(self._files)} files"] if self._more else []
        if whole > MOST:
            for file in self._files:
                file.region.skip(int(file.region.whole_size * (1 - MOST / whole)))
            notes.append(f"the newest {MOST >> 20} MB of {whole >> 20}")
        self.note = "only " + ", ".join(notes) if notes else ""
        self._ordering = Ordering([file.part() for file in self._files])

    def index(self) -> bool:
        """Count the lines of the next slice of each file, and take what the child said."""
        busy = self._hear()
        for file in self._files if self.held else ():  # before that nobody knows where they begin
            if file.index.size < file.region.size:
                file.index.feed(file.slice(file.index.size))
                busy = True
        return busy

    def _hear(self) -> bool:
        """Take what the child said; it is ahead of the line numbers for moments only."""
        said = self._ordering.said if self._ordering else None
        heard = bool(said)
        while said:
            kind, a, b, data = said.popleft()
            if kind == b"r":
                if a < self._weave.rows:
                    self.version += 1
                    if self._kept is not None:
                        self._kept.forget(a)
                self._weave.put(a, data)
                self._ordered = b
            elif kind == b"l":
                numbers = array("Q", data)
                if len(self._late) < LATE:
                    self._late.update(zip(numbers[::2], numbers[1::2], strict=True))
            elif kind == b"e":
                self._ready = True
        return heard

    def mark(self) -> bool:
        """Look for marks in the next slice of each file; the order comes first."""
        if not self._ready:
            return False
        more = False
        for file in self._files:
            if file.marked < file.index.size:
                data = file.region.pread(min(SMALL, file.index.size - file.marked), file.marked)
                file.marks.feed(data)
                file.marked += len(data)
                more = more or (bool(data) and file.marked < file.index.size)
        return more

    def rows(self, filtering: Filtering | None) -> Rows:
        """All lines by time, or those that are kept."""
        self._kept = KeptWoven(self._weave, filtering.bits) if filtering else None
        return self._kept or WovenRows(self._weave)

    def sift(self, rows: Rows) -> bool:
        """Go through the rows that the filter judged."""
        return isinstance(rows, KeptWoven) and rows.sift()

    def read(self, rows: Rows, first: int, count: int) -> list[Line]:
        """Rows, each from its file; those whose line was not counted yet are missing."""
        places = [place for row in range(max(0, first), first + count) if (place := rows.place(row)) is not None]
        wanted: dict[int, list[int]] = {}
        for source, own in places:
            wanted.setdefault(source, []).append(own)
        read: dict[tuple[int, int], Line] = {}
        for source, numbers in wanted.items():
            file = self._files[source]
            for line in file.index.read_some(numbers, file.region.pread):
                read[source, line.number] = line
        return [self._line(rows, place, read[place]) for place in places if place in read]

    def _line(self, rows: Rows, place: tuple[int, int], line: Line) -> Line:
        source, own = place
        if self._files[source].region.skipped:
            own = -1  # nobody counted what was left out
        return line._replace(number=rows.number(place), source=source, own=own, late=place in self._late)

    def parts(self) -> list[Part]:
        """All of them."""
        return [file.part() for file in self._files]

    def order(self) -> bytes | None:
        """The file of each row."""
        return self._weave.slice(0, self._weave.rows)

    def line_at(self, offset: int) -> int | None:
        """Not known: an offset is of one file."""
        return None

    def close(self) -> None:
        """Let go of them."""
        if self._ordering is not None:
            self._ordering.stop()
        for file in self._files:
            file.region.close()


class MergedDocument(Document):
    """Several logs as one, their lines by time; otherwise a `Document`.

    The number of a line is its row among all lines; `Line.source` is the index of its path, `Line.own` its number in
    that file, `Line.late` says that it came more than a second after lines that are younger. Numbers of the last
    second's rows may change. `line_at` knows nothing, and the last lines have no rows before all are ordered.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(paths)
        folder = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths] or ["/"])
        super().__init__(os.path.join(folder, "merged.log"), files=SeveralFiles(paths))
