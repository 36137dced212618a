"""One node asked over a person's prefix: started, listened to within limits, ended."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..signs import signal_name
from . import wire
from .clock import Exchange, Offset, offset_of

MOST_BYTES: Final = 32 << 20
"""Of a node's answer; 8 ranks with stacks and flight recorders take 1 to 8 MiB."""

MOST_NOISE: Final = 4 << 10
SAFE_WORD: Final = re.compile(r"[\w@%+=:,./-]{1,256}", re.ASCII)
"""What no shell takes apart. A prefix may end in one (ssh), and a job's key comes from somebody else's environment."""

NODE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}")
"""A node as ssh, srun and kubectl name it; it cannot be taken for an option."""

ENDING_S: Final = 0.5
"""So long srun has, after SIGTERM, to take its step with it."""


class ViaError(Exception):
    """A prefix, a node's name or a key cannot be used; the text is one line."""


@dataclass(frozen=True, slots=True)
class Via:
    """How a command is run on a node: `prefix` with {node} and {job} in it, and torchdoctor's own name there.

    With `twice` each node looks again two seconds later.
    """

    prefix: str
    program: tuple[str, ...] = ("torchdoctor",)
    job: str = ""
    twice: bool = False

    def command(self, node: str, key: str) -> list[str]:
        """The whole command for one node.

        Raises:
            ViaError: what in it cannot be used.
        """
        if not NODE_NAME.fullmatch(node):
            raise ViaError(f"{node[:60]!r} is no name of a node")
        if not SAFE_WORD.fullmatch(key):
            raise ViaError(f"the key {key[:60]!r} has characters that a shell on the node could take apart")
        try:
            words = shlex.split(self.prefix)
        except ValueError as error:
            raise ViaError(f"--via {self.prefix!r} cannot be split into words: {error}") from None
        if not words:
            raise ViaError("--via is empty: name a prefix such as 'ssh {node}'")
        filled = [word.replace("{node}", node).replace("{job}", self.job) for word in words]
        return [*filled, *self.program, "snapshot", "--json", "--only-jobs", "--ping", *self._again, "--job", key]

    @property
    def _again(self) -> list[str]:
        return ["--sure"] if self.twice else []


@dataclass(slots=True)
class Said:
    """What came of one command: the answer, or why there is none."""

    answer: wire.Answer | None = None
    why: str = ""
    clock: Offset = field(default_factory=Offset)
    seconds: float = 0.0


def converse(command: list[str], deadline_s: float, environ: Mapping[str, str] | None = None) -> Said:
    """Run one command to its answer, at most `deadline_s` seconds; it never raises."""
    begun = time.monotonic()
    try:
        talk = _Talk(command, begun + deadline_s, environ)
    except OSError as error:
        return Said(why=f"cannot start {command[0]}: {error.strerror}")
    try:
        said = talk.listen()
    finally:
        talk.end()
    said.seconds = time.monotonic() - begun
    return said


class _Talk:
    """The process of one command, and what it said so far."""

    def __init__(self, command: list[str], deadline: float, environ: Mapping[str, str] | None) -> None:
        self._sent_ns = {None: time.time_ns()}  # type: dict[int | None, int]
        self._deadline = deadline
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            start_new_session=True, env=dict(environ) if environ is not None else None,
        )  # fmt: skip
        self._exchanges: list[Exchange] = []
        self._out, self._noise, self._read = bytearray(), b"", 0
        self._said: Said | None = None

    def listen(self) -> Said:
        """Until the answer, the end of the command, or the deadline."""
        out, err = self._process.stdout, self._process.stderr
        if out is None or err is None:
            return Said(why="no pipes")
        with selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ, self._hear)
            ready.register(err, selectors.EVENT_READ, self._hear_noise)
            while self._said is None and ready.get_map():
                left = self._deadline - time.monotonic()
                if left <= 0:
                    return Said(why=self._late())
                for key, _ in ready.select(left):
                    data = os.read(key.fd, 1 << 16)
                    if data:
                        key.data(data)
                    else:
                        ready.unregister(key.fileobj)
        return self._said or Said(why=self._ended())

    def _hear(self, data: bytes) -> None:
        now, self._read = time.time_ns(), self._read + len(data)
        if self._read > MOST_BYTES:
            self._said = Said(why=f"it says more than {MOST_BYTES >> 20} MiB")
            return
        self._out += data
        if b"\n" in data:
            *lines, rest = bytes(self._out).split(b"\n")
            self._out = bytearray(rest)
            noise = [line for line in lines if line and not self._take(line, now)]
            self._hear_noise(b"\n".join(line[:400] for line in noise[-3:]) + b"\n" if noise else b"")

    def _hear_noise(self, data: bytes) -> None:
        self._noise = (self._noise + data)[-MOST_NOISE:]

    def _take(self, line: bytes, now: int) -> bool:
        """Take in a line; whether it was one of ours."""
        stamp = wire.stamp_of(line) if len(self._exchanges) <= wire.PINGS else None
        if stamp is not None:
            number, there = stamp
            self._exchanges.append(Exchange(there, self._sent_ns.get(number), now))
            self._ping(len(self._exchanges))
            return True
        found = wire.answer_of(line)
        if isinstance(found, wire.Answer):
            self._said = Said(answer=found, clock=offset_of(self._exchanges))
        elif found is not None:
            self._said = Said(why=found)
        return found is not None

    def _ping(self, number: int) -> None:
        """Ask for the next stamp; a prefix that gives the node no stdin leaves it unanswered."""
        if number > wire.PINGS or self._process.stdin is None:
            return
        self._sent_ns[number] = time.time_ns()
        with contextlib.suppress(OSError):
            os.write(self._process.stdin.fileno(), b"%d\n" % number)

    def _late(self) -> str:
        words = "it began to answer and did not finish in time" if self._exchanges else "no answer in time"
        return self._with_noise(words)

    def _ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, min(1.0, self._deadline - time.monotonic())))
        code = self._process.returncode
        if code == 127:
            return self._with_noise("torchdoctor is not there: name it with --program")
        how = "ended" if not code else (f"ended with {code}" if code > 0 else f"was ended by {signal_name(-code)}")
        return self._with_noise(f"the command {how} and gave no answer")

    def _with_noise(self, words: str) -> str:
        lines = [line for line in self._noise.decode(errors="replace").splitlines() if line.strip()]
        return f"{words}: {lines[-1].strip()[:200]}" if lines else words

    def end(self) -> None:
        """End the command and what it started in its session; a prefix gets a moment to take its step along."""
        process = self._process
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_S if number == signal.SIGTERM and self._said and self._said.answer else 0.01)
                return
            with contextlib.suppress(OSError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_S)
                return
