"""What many nodes say, put together again: bounded for each and in all, whatever they say."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from .wire import LISTED, MOST_LISTS, MOST_PIECES, Answer, Message, Piece, answer_of, message_of, pieces_in

MOST_NODES: Final = 4096
MOST_SPEAKERS: Final = 4
"""Processes of one node that are heard: one a task is asked for, and the others keep silent by themselves."""

MOST_HELD: Final = 512 << 20
"""Bytes of pieces of answers that are not whole, of all nodes together."""


@dataclass(slots=True)
class Heard:
    """One process of one node: its last message, and its answer or the pieces of it that came."""

    node: str
    message: Message = field(default_factory=Message)
    first: float = 0.0
    last: float = 0.0
    of: int = 0
    pieces: dict[int, bytes] = field(default_factory=dict)
    listed: dict[int, str] = field(default_factory=dict)
    answer: Answer | str | None = None

    @property
    def size(self) -> int:
        """Bytes that its pieces take."""
        return sum(map(len, self.pieces.values()))


class Gathering:
    """Everything that was said to `token`. A node's name is its own word, but for `only`: the one that is asked here.

    `torn` counts lines that began as ours and could not be read, `answered` has the nodes that gave an answer, or what
    was meant as one. `first` is when the first was heard (monotonic), `longest_wait_s` the longest time that one said
    it waits before it begins, `nodelist` the nodes of its step as it knows them.
    """

    def __init__(self, token: str, only: str = "") -> None:
        self._token, self._only, self._held = token, only, 0
        self._nodes: dict[str, dict[str, Heard]] = {}
        self.torn = 0
        self.answered: set[str] = set()
        self.first: float | None = None
        self.longest_wait_s = 0.0
        self.nodelist = ""

    def hear(self, line: bytes) -> bool:
        """Take in a line; whether there was anything of ours in it."""
        found = list(pieces_in(line, self._token))
        for piece in found:
            self._take(piece)
        if not found and b"@td1 " in line:
            self.torn += 1
        return bool(found)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all that were heard, in the order in which they came."""
        return tuple(self._nodes)

    def of(self, node: str) -> Heard | None:
        """What was heard of a node: the process that answered first, else the one that spoke last."""
        spoken = list(self._nodes.get(node, {}).values())
        answered = next((one for one in spoken if isinstance(one.answer, Answer)), None)
        return answered or max(spoken, key=lambda one: (one.answer is not None, one.last), default=None)

    def _take(self, piece: Piece) -> None:
        heard = self._heard(piece)
        if heard is None or heard.answer is not None:
            return
        heard.last = time.monotonic()
        if piece.number == 0:
            self._take_message(heard, message_of(piece))
        elif 0 < piece.number <= piece.of <= MOST_PIECES and heard.of in (0, piece.of):
            self._keep(heard, piece)

    def _take_message(self, heard: Heard, message: Message | None) -> None:
        if message is None:
            return
        heard.message = message
        self.longest_wait_s = max(self.longest_wait_s, message.wait_s)
        if message.nodelist and not self.nodelist and message.part < message.parts <= MOST_LISTS:
            heard.listed[message.part] = message.nodelist[:LISTED]
            if len(heard.listed) >= message.parts:
                self.nodelist = "".join(heard.listed[part] for part in sorted(heard.listed))

    def _heard(self, piece: Piece) -> Heard | None:
        node = self._only or piece.node
        if node not in self._nodes and len(self._nodes) >= MOST_NODES:
            return None
        speakers = self._nodes.setdefault(node, {})
        if piece.speaker not in speakers and len(speakers) >= MOST_SPEAKERS:
            return None
        self.first = self.first or time.monotonic()
        return speakers.setdefault(piece.speaker, Heard(node, first=time.monotonic()))

    def _keep(self, heard: Heard, piece: Piece) -> None:
        heard.of = piece.of
        if piece.number in heard.pieces:
            return
        if self._held + len(piece.data) > MOST_HELD:
            heard.answer = "there is no room for its answer: too much was said by all nodes together"
        else:
            heard.pieces[piece.number] = piece.data
            self._held += len(piece.data)
            if len(heard.pieces) < heard.of:
                return
            heard.answer = answer_of(b"".join(heard.pieces[number] for number in range(1, heard.of + 1)))
        self.answered.add(heard.node)
        self._held -= heard.size
        heard.pieces.clear()
