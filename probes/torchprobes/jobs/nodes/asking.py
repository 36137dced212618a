"""One node asked over a person's prefix: started, listened to within limits, ended."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from . import wire
from .clock import Exchange, Offset, offset_of
from .talk import ENDING_S, Talk

MOST_BYTES: Final = 32 << 20
"""Of a node's answer; 8 ranks with stacks and flight recorders take 1 to 8 MiB."""

SAFE_WORD: Final = re.compile(r"[\w@%+=:,./-]{1,256}", re.ASCII)
"""What no shell takes apart. A prefix may end in one (ssh), and a job's key comes from somebody else's environment."""

NODE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}")
"""A node as ssh, srun and kubectl name it; it cannot be taken for an option."""


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
    asked = _Asked(begun + deadline_s)
    try:
        talk = Talk(command, environ, longest=MOST_BYTES, most=MOST_BYTES)
    except OSError as error:
        return Said(why=f"cannot start {command[0]}: {error.strerror}")
    try:
        said = asked.of(talk)
    finally:
        talk.end(ENDING_S if asked.said and asked.said.answer else 0.01)
    said.seconds = time.monotonic() - begun
    return said


class _Asked:
    """What one node was asked: its clock first, then its answer."""

    def __init__(self, deadline: float) -> None:
        self._sent_ns = {None: time.time_ns()}  # type: dict[int | None, int]
        self._deadline = deadline
        self._exchanges: list[Exchange] = []
        self._talk: Talk | None = None
        self.said: Said | None = None

    def of(self, talk: Talk) -> Said:
        """Listen until the answer, the end of the command, or the deadline."""
        self._talk = talk
        end = talk.listen(self._take, lambda: self._deadline, lambda: self.said is not None)
        if end == "too much":
            return Said(why=f"it says more than {MOST_BYTES >> 20} MiB")
        return self.said or Said(why=self._late(talk) if end == "late" else self._ended(talk))

    def _take(self, line: bytes) -> bool:
        """Take in a line; whether it was one of ours."""
        now = time.time_ns()
        stamp = wire.stamp_of(line) if len(self._exchanges) <= wire.PINGS else None
        if stamp is not None:
            number, there = stamp
            self._exchanges.append(Exchange(there, self._sent_ns.get(number), now))
            self._ping(len(self._exchanges))
            return True
        found = wire.answer_of(line)
        if isinstance(found, wire.Answer):
            self.said = Said(answer=found, clock=offset_of(self._exchanges))
        elif found is not None:
            self.said = Said(why=found)
        return found is not None

    def _ping(self, number: int) -> None:
        """Ask for the next stamp; a prefix that gives the node no stdin leaves it unanswered."""
        if number > wire.PINGS or self._talk is None:
            return
        self._sent_ns[number] = time.time_ns()
        self._talk.say(b"%d\n" % number)

    def _late(self, talk: Talk) -> str:
        words = "it began to answer and did not finish in time" if self._exchanges else "no answer in time"
        return talk.with_noise(words)

    def _ended(self, talk: Talk) -> str:
        code, how = talk.how_it_ended(min(1.0, self._deadline - time.monotonic()))
        if code == 127:
            return talk.with_noise("torchdoctor is not there: name it with --program")
        return talk.with_noise(f"the command {how} and gave no answer")
