"""A fleet asked: all nodes by one launcher, or each by its own, a bounded number at a time."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from torchprobes.jobs.nodes.asking import NODE_NAME, ViaError
from torchprobes.jobs.nodes.talk import End, Talk

from .gathering import MOST_NODES, Gathering
from .launcher import Launcher, Remarks
from .nodelist import expand
from .rows import Node, node_of
from .wire import LONGEST_LINE

AT_ONCE: Final = 32
MOST_SAID: Final = 64 << 20
"""Bytes that the command of one node may say in all; answers of thousands of nodes on one pipe have no such limit."""

PATIENCE_S: Final = 2.0
"""A launcher may end by itself for so long when all nodes have answered."""


@dataclass(frozen=True, slots=True)
class Question:
    """How a fleet is asked.

    `nodes` are those that are expected: with {node} in the launcher all that there are, else () where the launcher
    knows them. `words` is torchdoctor's own command there, without the token. `deadline_s` begins with a node's first
    sign of life and leaves out the time that it waits by itself.
    """

    launcher: Launcher
    program: tuple[str, ...]
    words: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    at_once: int = AT_ONCE
    jitter_s: float = 0.0
    deadline_s: float = 60.0


@dataclass(slots=True)
class Progress:
    """How far it is, for who shows it: read at any time. `expected` is None while nobody has said how many they are."""

    answered: int = 0
    expected: int | None = None


Stopped = Callable[[], bool]


def ask(question: Question, progress: Progress, stopped: Stopped) -> tuple[tuple[Node, ...], str]:
    """Ask all nodes: every one that was expected or heard, in order; and what the launcher said where none was.

    It does not raise for what a node or the launcher does: that is a row.

    Raises:
        ViaError: a command cannot be made; nothing was started then.
    """
    if any(not NODE_NAME.fullmatch(name) for name in question.nodes) or len(question.nodes) > MOST_NODES:
        raise ViaError(f"a name of a node cannot be one, or there are more than {MOST_NODES}")
    progress.expected = len(question.nodes) or None
    if question.launcher.each:
        return _ask_each(question, progress, stopped), ""
    return _Together(question, progress, stopped).ask()


# --- each by itself ------------------------------------------------------------------------------------------------


def _ask_each(question: Question, progress: Progress, stopped: Stopped) -> tuple[Node, ...]:
    if not question.nodes:
        raise ViaError("the launcher has {node} in it, and no node was named: --nodes n1,n2 or n[01-16]")
    tokens = [secrets.token_hex(8) for _ in question.nodes]
    commands = [
        question.launcher.command(question.program, [*question.words, "--answer", token, "--as", name], name)
        for token, name in zip(tokens, question.nodes, strict=True)
    ]
    dice, lock = random.Random(), threading.Lock()  # noqa: S311 - spreads starts, no secret

    def one(place: int) -> Node:
        _pause(dice.uniform(0, question.jitter_s), stopped)
        node = _ask_one(question, question.nodes[place], tokens[place], commands[place], stopped)
        with lock:
            progress.answered += node.report is not None
        return node

    with ThreadPoolExecutor(min(question.at_once, len(commands)), thread_name_prefix="node") as pool:
        return tuple(pool.map(one, range(len(commands))))


def _pause(seconds: float, stopped: Stopped) -> None:
    until = time.monotonic() + seconds
    while not stopped() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))


def _ask_one(question: Question, name: str, token: str, command: Sequence[str], stopped: Stopped) -> Node:
    """One node over its own command."""
    if stopped():
        return node_of(name, None, "it was not asked: interrupted before its turn")
    gathering = Gathering(token, only=name)
    begun = time.monotonic()
    try:
        talk = Talk(command, longest=LONGEST_LINE, most=MOST_SAID, cwd=".")
    except OSError as error:
        return node_of(name, None, f"cannot start {command[0]}: {error.strerror}")
    try:
        talk.close_stdin()
        end = talk.listen(
            gathering.hear, lambda: _until(question, gathering, begun), lambda: bool(gathering.answered), stopped
        )
        why = talk.with_noise(_why(question, end, talk))
    finally:
        talk.end(PATIENCE_S if gathering.answered else 0.01)
    return node_of(name, gathering.of(name), why)


def _until(question: Question, gathering: Gathering, begun: float) -> float:
    """A queue, a login or a slow file system may take the deadline once, the node itself once more."""
    return (gathering.first or begun) + question.deadline_s + gathering.longest_wait_s


def _why(question: Question, end: End, talk: Talk) -> str:
    """How the command ended, for a node that gave no answer."""
    if end == "late":
        return f"no answer in {question.deadline_s:g} s"
    if end == "stopped":
        return "interrupted before it answered"
    if end == "too much":
        return f"it says more than {MOST_SAID >> 20} MiB"
    code, how = talk.how_it_ended()
    if code == 127:
        return "torchdoctor is not there: name it with --program"
    return f"the command {how} and gave no answer"


# --- all by one launcher -------------------------------------------------------------------------------------------


class _Together:
    """All nodes over one command, whose pipe they share."""

    def __init__(self, question: Question, progress: Progress, stopped: Stopped) -> None:
        self._question, self._progress, self._stopped = question, progress, stopped
        self._token = secrets.token_hex(8)
        self._gathering, self._remarks = Gathering(self._token), Remarks()
        self._expected: tuple[str, ...] = question.nodes

    def ask(self) -> tuple[tuple[Node, ...], str]:
        words = [*self._question.words, "--answer", self._token]
        command = self._question.launcher.command(self._question.program, words)
        begun, gathering = time.monotonic(), self._gathering
        try:
            talk = Talk(command, longest=LONGEST_LINE, cwd=".")
        except OSError as error:
            return self._rows(f"cannot start {command[0]}: {error.strerror}")
        try:
            talk.close_stdin()
            end = talk.listen(
                self._hear, lambda: _until(self._question, gathering, begun), self._all_here, self._stopped
            )
            if end in ("late", "stopped"):
                return self._rows(_why(self._question, end, talk), talk)
            talk.how_it_ended(PATIENCE_S)
            return self._rows(_why(self._question, "ended", talk), talk)
        finally:
            talk.end()

    def _hear(self, line: bytes) -> bool:
        ours = self._gathering.hear(line)
        if not ours and b"@td1 " not in line:
            self._remarks.take(line)
        if not self._expected and self._gathering.nodelist:
            self._expected = self._named(self._gathering.nodelist)
        self._progress.answered = len(self._gathering.answered)
        self._progress.expected = len(self._expected) or None
        return ours

    @staticmethod
    def _named(nodelist: str) -> tuple[str, ...]:
        try:
            return expand(nodelist)
        except ViaError:
            return ()

    def _all_here(self) -> bool:
        answered = self._gathering.answered
        return bool(self._expected) and len(answered) >= len(self._expected) and answered.issuperset(self._expected)

    def _rows(self, why: str, talk: Talk | None = None) -> tuple[tuple[Node, ...], str]:
        names = tuple(dict.fromkeys([*self._expected, *self._gathering.nodes]))
        return tuple(self._node(name, why) for name in names), talk.with_noise(why) if talk else why

    def _node(self, name: str, why: str) -> Node:
        heard = self._gathering.of(name)
        task = heard.message.task if heard is not None else self._task(name)
        return node_of(name, heard, self._remarks.of(name, task, why))

    def _task(self, name: str) -> int | None:
        """The number of the task of a node that was never heard: Slurm gives them in the order of the nodes (srun(1),
        --distribution), where each has one.
        """
        return self._expected.index(name) if self._question.launcher.is_srun and name in self._expected else None
