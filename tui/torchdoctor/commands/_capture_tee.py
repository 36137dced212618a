"""What a captured command says, handed on to the terminal as it is written: raw bytes, read back from the run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from torchprobes.runner.capture_pipes import BEFORE

LOOK_S: Final = 0.05
QUIET_S: Final = 0.1
"""Between two looks when the last found nothing: a program that compiles is silent for seconds."""

RANKS_S: Final = 0.5
"""How often new ranks are looked for."""

_CHUNK: Final = 1 << 16
_LONGEST: Final = 1 << 16
"""A rank's line that is longer goes on in pieces."""


class Tail:
    """One growing log, read to its end again and again, through the files that it goes on in."""

    def __init__(self, path: Path) -> None:
        self._path, self._before = path, Path(f"{path}{BEFORE}")
        self._fd = -1

    def read(self) -> bytes:
        """What is new, at most a chunk; b"" for nothing yet."""
        if self._fd < 0 and not self._open(self._path):
            return b""
        return os.read(self._fd, _CHUNK) or self._next()

    def _next(self) -> bytes:
        """At the end of one file: what came into it last, else the file that came after it, the older one first."""
        held, now, before = os.fstat(self._fd).st_ino, _inode(self._path), _inode(self._before)
        if now in (held, None):
            return b""
        if last := os.read(self._fd, _CHUNK):  # written between our look and its end
            return last
        os.close(self._fd)
        after = self._path if before in (held, None) else self._before
        return os.read(self._fd, _CHUNK) if self._open(after) else b""

    def _open(self, path: Path) -> bool:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
        return self._fd >= 0

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


class Stream:
    """A log on its way to one of our own streams; a rank's goes line by line, with the rank before each."""

    def __init__(self, path: Path, to: int, label: bytes = b"") -> None:
        self._tail, self._to, self._label = Tail(path), to, label
        self._held = b""

    def move(self) -> bool:
        """Hand on what is new; whether there was any."""
        data = self._tail.read()
        if data:
            write(self._to, self._labelled(data) if self._label else data)
        return bool(data)

    def _labelled(self, data: bytes) -> bytes:
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > _LONGEST:
            lines, self._held = [*lines, self._held], b""
        return b"".join(self._label + line + b"\n" for line in lines)

    def close(self) -> None:
        """Hand on the line that has no end, and let go."""
        if self._held:
            write(self._to, self._label + self._held + b"\n")
        self._tail.close()


class Tee:
    """All logs of a capture, in a thread: a terminal that takes nothing holds up neither the command nor a signal."""

    def __init__(self, folder: Path, out: int, err: int) -> None:
        self._folder, self._to = folder, {"stdout.log": out, "stderr.log": err}
        self._streams = {name: Stream(folder / name, to) for name, to in self._to.items()}
        self._next_s = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._live, name="torchdoctor-tee", daemon=True)

    def start(self) -> Tee:
        """Begin."""
        self._thread.start()
        return self

    def finish(self, timeout_s: float | None = None) -> bool:
        """Nothing more is written: hand on the rest, and say whether all of it went within the time."""
        self._stopped.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _live(self) -> None:
        while True:
            ending = self._stopped.is_set()
            self._find_ranks(at_once=ending)
            moved = 0
            while some := sum(stream.move() for stream in tuple(self._streams.values())):
                moved += some
            if ending:
                break
            self._stopped.wait(LOOK_S if moved else QUIET_S)
        for stream in self._streams.values():
            stream.close()

    def _find_ranks(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if now < self._next_s and not at_once:
            return
        self._next_s = now + RANKS_S
        for path in self._of_ranks():
            name = str(path.relative_to(self._folder))
            if name not in self._streams:
                label = f"[default{path.parent.name}]:".encode()  # as torchrun's own --tee has it
                self._streams[name] = Stream(path, self._to[path.name], label)

    def _of_ranks(self) -> Iterator[Path]:
        """`ranks/<run id>/attempt_<n>/<local rank>/std….log`, as torchrun makes them."""
        for name in self._to:
            yield from (self._folder / "ranks").glob(f"*/attempt_*/*/{name}")


def write(to: int, data: bytes) -> None:
    """Write all of it; a stream that is gone takes nothing, which is no fault of the command's."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(to, view) :]
    except OSError:
        return
