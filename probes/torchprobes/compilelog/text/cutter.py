r"""Bytes of a log into lines, whatever the cuts between reads: bounded lines, `\r` ends a line like `\n` does.

A progress bar draws itself over and over behind a `\r`, and a line of torch's may begin where the bar stands: each
drawing is a line of its own here.
"""

from __future__ import annotations

from collections.abc import Iterator

LONGEST = 1 << 16
"""Bytes of one line that are looked at; what follows them is passed over."""

SLICE = 1 << 15
"""Bytes that are cut at once: few enough that many slices of a program's output have none of torch's lines."""


class Cutter:
    """Cuts what `feed` gets into lines; what has no end yet waits in `rest`."""

    def __init__(self) -> None:
        self.offset = 0
        """Bytes taken."""
        self.rest = b""
        self._passing = False

    @property
    def rest_at(self) -> int:
        """Where `rest` begins."""
        return self.offset - len(self.rest)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Blocks of whole lines with one byte between them, without the last one's end; each with its offset."""
        for start in range(0, len(data), SLICE):
            yield from self._feed(data[start : start + SLICE])

    def _feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        if self._passing:
            data = self._after_the_long_line(data)
        start, block = self.rest_at, self.rest + data
        self.offset += len(data)
        held = b""
        if b"\r" in block:
            if block.endswith(b"\r"):  # perhaps half of a `\r\n`
                block, held = block[:-1], b"\r"
            block = block.replace(b"\r\n", b" \n").replace(b"\r", b"\n")
        end = block.rfind(b"\n")
        self.rest = block[end + 1 :] + held
        if end >= 0:
            yield start, block[:end]
        if len(self.rest) > LONGEST:
            at, long = self.rest_at, self.rest[:LONGEST]
            self.rest, self._passing = b"", True
            yield at, long

    def _after_the_long_line(self, data: bytes) -> bytes:
        """What comes after the end of the line that is passed over."""
        ends = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
        if not ends:
            self.offset += len(data)
            return b""
        self._passing = False
        self.offset += min(ends) + 1
        return data[min(ends) + 1 :]
