"""Reads a probe's event files as they grow, hostile until read: broken lines are counted, never believed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from torchprobes.model import Event, Evidence, Fact, Figure, Outcome, Readings

_CHUNK = 1 << 20
_CHUNKS_A_POLL = 4
_LONGEST_LINE = 1 << 16
_KEPT = 20_000
_decoder = msgspec.json.Decoder(Event)


class EventTail:
    """All event files in a folder, each read once from its beginning to its end."""

    def __init__(self, folder: Path) -> None:
        self.broken = 0
        self._folder = folder
        self._files: dict[str, _Tail] = {}

    def poll(self) -> list[Event]:
        """The events that are new since the last poll, file by file."""
        found: list[Event] = []
        try:
            with os.scandir(self._folder) as entries:
                files = [e for e in entries if e.name.endswith(".jsonl") and _is_file(e)]
        except OSError:
            return found
        for entry in sorted(files, key=lambda e: e.name):
            tail = self._files.setdefault(entry.name, _Tail(entry.path))
            if entry.stat(follow_symlinks=False).st_size <= tail.offset:
                continue
            for line in tail.read():
                event = _decode(line)
                if event is None:
                    self.broken += 1
                else:
                    found.append(event)
        return found

    def close(self) -> Iterator[list[Event]]:
        """The last events, part by part; what is left without its newline is a broken line."""
        before = -1
        while self._offset() != before:
            before = self._offset()
            yield self.poll()
        self.broken += sum(1 for tail in self._files.values() if tail.rest)

    def _offset(self) -> int:
        return sum(tail.offset for tail in self._files.values())


class _Tail:
    """One file: complete lines, a partial one kept for the next time, an endless one given up as one broken line."""

    def __init__(self, path: str) -> None:
        self.rest = b""
        self._path = path
        self.offset = 0

    def read(self) -> list[bytes]:
        lines: list[bytes] = []
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return lines
        try:
            for _ in range(_CHUNKS_A_POLL):
                chunk = os.pread(fd, _CHUNK, self.offset)
                self.offset += len(chunk)
                *whole, rest = chunk.split(b"\n")
                if whole:
                    whole[0] = self.rest + whole[0]
                    self.rest = b""
                lines += whole
                # What is longer than any event stays longer than any event, however much of it is thrown away.
                self.rest = (self.rest + rest)[:_LONGEST_LINE]
        except OSError:
            pass
        finally:
            os.close(fd)
        return lines


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
    except OSError:
        return False


def _decode(line: bytes) -> Event | None:
    if len(line) >= _LONGEST_LINE:
        return None
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None


class Collector:
    """What a probe said, as it is said: readings for the judge, progress for the screen. Memory is bounded."""

    def __init__(self) -> None:
        self.progress = ""
        self.done: float | None = None
        self.marks: list[Event] = []
        self._figures: list[Figure] = []
        self._facts: list[Fact] = []
        self._evidence: list[Evidence] = []
        self._dropped = 0
        self._takers = {
            "progress": self._progress, "figure": self._figure, "fact": self._fact, "artifact": self._artifact,
            "start": self._mark, "end": self._mark,
        }  # fmt: skip

    def take(self, events: list[Event]) -> None:
        """Add events; kinds that a probe has no use for are passed over."""
        for event in events:
            taker = self._takers.get(event.ev)
            if taker is None:
                continue
            if len(self._figures) + len(self._facts) + len(self._evidence) + len(self.marks) < _KEPT:
                taker(event)
            else:
                self._dropped += 1

    def readings(self, probe: str, device: str, outcome: Outcome, evidence: tuple[Evidence, ...]) -> Readings:
        """Everything that was said, for the judge."""
        more = (Evidence(kind="events", text=f"{self._dropped} events beyond {_KEPT} were not kept"),)
        return Readings(
            probe=probe,
            device=device,
            figures=tuple(self._figures),
            facts=tuple(self._facts),
            evidence=tuple(self._evidence) + evidence + (more if self._dropped else ()),
            outcome=outcome,
        )

    def _progress(self, event: Event) -> None:
        self.progress = event.text
        self.done = None if event.done is None else min(1.0, max(0.0, event.done))

    def _figure(self, event: Event) -> None:
        figure = _as_figure(event)
        if figure is not None:
            self._figures.append(figure)
        else:  # no number is no reading: it is told as a fact, with what it was
            evidence = f"a figure in {event.unit} whose value is no number"
            self._facts.append(Fact(name=event.name, value=event.value, evidence=evidence))

    def _fact(self, event: Event) -> None:
        self._facts.append(Fact(name=event.name, value=event.value, evidence=event.evidence))

    def _artifact(self, event: Event) -> None:
        self._evidence.append(Evidence(kind=event.kind or "artifact", text=event.text, artifact=_inside(event.path)))

    def _mark(self, event: Event) -> None:
        self.marks.append(event)


def _as_figure(event: Event) -> Figure | None:
    if isinstance(event.value, bool) or not isinstance(event.value, (int, float)):
        return None
    try:
        value = float(event.value)
    except OverflowError:
        return None
    return Figure(name=event.name, value=value, unit=event.unit, n=event.n, spread=event.spread, labels=event.labels)


def _inside(path: str) -> str | None:
    """`path` if it stays below the probe's folder."""
    parts = Path(path).parts
    return path if parts and ".." not in parts and not path.startswith("/") else None
