"""One command started, listened to line by line within limits, and ended: the carrier of every question to a node."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final, Literal

from ..signs import signal_name

End = Literal["heard", "late", "ended", "too much", "stopped"]
"""Why the listening was over: what was waited for came, the deadline, the command's own end, more bytes than it may
say, or the asker was told to stop."""

Hear = Callable[[bytes], bool]
"""Takes in a line, without its end; whether it was one of ours. What is none is noise, and kept for the reason."""

MOST_NOISE: Final = 4 << 10
ENDING_S: Final = 0.5
"""So long srun has, after SIGTERM, to take its step with it."""

LOOK_S: Final = 0.2
"""So often a listener that can be stopped looks whether it is."""

_READ: Final = 1 << 16


class Talk:
    """The process of one command in a session of its own, and what it said so far.

    `longest` is the length at which a line without an end is taken as it is; `most` how many bytes it may say in all,
    None for no limit; `cwd` is its folder.

    Raises:
        OSError: if it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str] | None = None,
        *,
        longest: int,
        most: int | None = None,
        cwd: str = "/",
    ) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
            start_new_session=True, env=dict(environ) if environ is not None else None,
        )  # fmt: skip
        self._longest, self._most, self._read = longest, most, 0
        self._noise = b""

    def listen(
        self,
        hear: Hear,
        deadline: Callable[[], float],
        over: Callable[[], bool],
        stopped: Callable[[], bool] | None = None,
    ) -> End:
        """Until `over`, the end of the command, or `deadline` (monotonic seconds; both asked again after each line)."""
        with selectors.DefaultSelector() as ready:
            for stream in self._pipes():
                ready.register(stream, selectors.EVENT_READ, _Lines(hear, self._hear_noise, self._longest))
            while ready.get_map():
                if stopped is not None and stopped():
                    return "stopped"
                left = deadline() - time.monotonic()
                if left <= 0:
                    self._take_rests(ready)
                    return "heard" if over() else "late"
                for key, _ in ready.select(left if stopped is None else min(left, LOOK_S)):
                    if not self._feed(key.data, key.fd):
                        ready.unregister(key.fileobj)
                    if over():
                        return "heard"
                    if self._most is not None and self._read > self._most:
                        return "too much"
        return "ended"

    def _pipes(self) -> list[IO[bytes]]:
        return [stream for stream in (self._process.stdout, self._process.stderr) if stream is not None]

    def _feed(self, lines: _Lines, handle: int) -> bool:
        """Read once; False at the end of the stream."""
        data = os.read(handle, _READ)
        self._read += len(data)
        lines.add(data) if data else lines.finish()
        return bool(data)

    @staticmethod
    def _take_rests(ready: selectors.BaseSelector) -> None:
        for key in ready.get_map().values():
            key.data.finish()

    def _hear_noise(self, lines: Sequence[bytes]) -> None:
        self._noise = (self._noise + b"".join(line[:400] + b"\n" for line in lines[-3:]))[-MOST_NOISE:]

    def say(self, data: bytes) -> None:
        """Write a little to its stdin; one that is gone, or that a prefix does not hand on, is no error."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                os.write(self._process.stdin.fileno(), data)

    def close_stdin(self) -> None:
        """Let it read nothing but an end."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def with_noise(self, words: str) -> str:
        """`words`, and the last line that was not ours."""
        lines = [line for line in self._noise.decode(errors="replace").splitlines() if line.strip()]
        return f"{words}: {lines[-1].strip()[:200]}" if lines else words

    def how_it_ended(self, wait_s: float = 1.0) -> tuple[int | None, str]:
        """Exit code, and the same in words: "ended with 7", "was ended by SIGKILL"."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, wait_s))
        code = self._process.returncode
        if not code:
            return code, "ended"
        return code, f"ended with {code}" if code > 0 else f"was ended by {signal_name(-code)}"

    def end(self, patience_s: float = 0.01) -> None:
        """End the command and what it started in its session, after `patience_s` to end by itself.

        A prefix then gets a moment to take its step along.
        """
        process = self._process
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s if number == signal.SIGTERM else 0.01)
                return
            with contextlib.suppress(OSError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_S)
                return


class _Lines:
    """The lines of one stream: to `hear`, and to `noise` what it does not want."""

    def __init__(self, hear: Hear, noise: Callable[[Sequence[bytes]], None], longest: int) -> None:
        self._hear, self._noise, self._longest = hear, noise, longest
        self._rest = bytearray()

    def add(self, data: bytes) -> None:
        self._rest += data
        if b"\n" in data:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
            self._take(lines)
        while len(self._rest) > self._longest:
            self._take([bytes(self._rest[: self._longest])])
            del self._rest[: self._longest]

    def finish(self) -> None:
        self._take([bytes(self._rest)])
        self._rest.clear()

    def _take(self, lines: Sequence[bytes]) -> None:
        noise = [line for line in lines if line and not self._hear(line)]
        if noise:
            self._noise(noise)
