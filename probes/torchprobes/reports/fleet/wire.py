"""How a node's answer comes over a pipe that many tasks, banners and shells write on: short lines with a checksum.

    @td1 TOKEN NODE SPEAKER NUMBER OF CRC BODY ;

NUMBER 0 of 0 is a message ("I am here", "I am in my check"): base64 of JSON. NUMBER 1 to OF are the pieces of the
answer: base64 of zlib of JSON. Each is one write below PIPE_BUF (pipe(7): such writes are never mixed) and below 1 KiB
(`srun --label` breaks longer lines: slurmstepd's messages have 1,024 bytes), may stand anywhere in a line (a prompt, a
label), and is passed over if its checksum is not right. The answer is said twice, because nobody can ask for a piece
again. Both ends are here.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from torchprobes.model import Frozen

WIRE: Final = 1
LONGEST_LINE: Final = 64 << 10
PIECE: Final = 480
"""Bytes before base64; with the longest name of a node a line has 960 bytes then."""

LISTED: Final = 200
"""Characters of a list of nodes in one message."""

MOST_LISTS: Final = 512
"""Messages of one list: 100 KB, as Slurm writes them."""

MOST_PIECES: Final = 8700
"""4 MiB packed; a snapshot of 8 GPUs with its inventory is about 20 KiB, the report of a whole check 60 KiB."""

MOST_BYTES: Final = 64 << 20
"""Of one answer, unpacked."""

TIMES_SAID: Final = 2

NODE: Final = r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}"
_LINE: Final = re.compile(
    rb"@td1 ([0-9a-f]{16}) (" + NODE.encode() + rb") ([0-9a-f]{1,16}) ([0-9]{1,4}) ([0-9]{1,4}) ([0-9a-f]{8})"
    rb" ([A-Za-z0-9+/=]{1,640}) ;"
)

Stage = Literal["waits", "looks", "checks", "says"]
Kind = Literal["snapshot", "report", "failure"]


class Message(Frozen, frozen=True, kw_only=True):
    """A sign of life: what the node does, and what it knows of the step that it is in.

    `wait_s` is how long it waits before it begins; `nodelist` are the nodes of its step as Slurm writes them, part
    `part` of `parts`, and `task` its number in it, None where nobody says.
    """

    stage: str = "waits"
    torchdoctor: str = ""
    host: str = ""
    wait_s: float = 0.0
    nodelist: str = ""
    part: int = 0
    parts: int = 0
    task: int | None = None


class Answer(Frozen, frozen=True, kw_only=True):
    """What a node has to say at its end: a document of `kind`, or why there is none; both where a check was refused
    and only a snapshot could be taken.
    """

    wire: int = WIRE
    kind: str = "failure"
    why: str = ""
    torchdoctor: str = ""
    document: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Piece:
    """One line, taken apart. `number` 0 is a message, whose JSON is `data`."""

    node: str
    speaker: str
    number: int
    of: int
    data: bytes


# --- the node's end ------------------------------------------------------------------------------------------------


class Voice:
    """Says things on a file handle, each line one write.

    Raises (every method):
        OSError: if nobody reads any more.
    """

    def __init__(self, handle: int, token: str, node: str) -> None:
        self._handle, self._token, self._node = handle, token, node
        self._speaker = f"{os.getpid():x}{time.monotonic_ns() & 0xFFFF:04x}"

    def message(self, message: Message) -> None:
        """A sign of life; a list of nodes that is long takes several."""
        listed = message.nodelist
        parts = [listed[at : at + LISTED] for at in range(0, len(listed), LISTED)][:MOST_LISTS] or [""]
        for number, part in enumerate(parts):
            said = msgspec.structs.replace(message, nodelist=part, part=number, parts=len(parts) if part else 0)
            self._line(0, 0, msgspec.json.encode(said))

    def answer(self, answer: Answer) -> None:
        """The answer, in pieces, twice."""
        packed = zlib.compress(msgspec.json.encode(answer), 9)
        pieces = [packed[at : at + PIECE] for at in range(0, len(packed), PIECE)]
        if len(pieces) > MOST_PIECES:
            return self.answer(Answer(why=f"its answer has {len(packed)} bytes: more than can be said"))
        for _ in range(TIMES_SAID):
            for number, piece in enumerate(pieces, 1):
                self._line(number, len(pieces), piece)
        return None

    def _line(self, number: int, of: int, data: bytes) -> None:
        line = b"\n" + line_of(self._token, self._node, self._speaker, number, of, data) + b"\n"
        while line:
            line = line[os.write(self._handle, line) :]


def line_of(token: str, node: str, speaker: str, number: int, of: int, data: bytes) -> bytes:
    """One line without its end."""
    body = base64.b64encode(data)
    head = f"{token} {node} {speaker} {number} {of}".encode()
    return b"@td1 %b %08x %b ;" % (head, _crc(head, body), body)


def _crc(head: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(head))


# --- the asker's end -----------------------------------------------------------------------------------------------


def pieces_in(line: bytes, token: str) -> Iterator[Piece]:
    """All that a line of a pipe holds for `token` and whose checksum is right."""
    for found in _LINE.finditer(line):
        theirs, node, speaker, number, of, crc, body = found.groups()
        head = b"%b %b %b %b %b" % (theirs, node, speaker, number, of)
        if theirs.decode() != token or int(crc, 16) != _crc(head, body):
            continue
        try:
            data = base64.b64decode(body, validate=True)
        except binascii.Error:
            continue
        yield Piece(node.decode(), speaker.decode(), int(number), int(of), data)


def message_of(piece: Piece) -> Message | None:
    """The message in a piece, None if it is none that can be read."""
    try:
        return msgspec.json.decode(piece.data, type=Message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def answer_of(packed: bytes) -> Answer | str:
    """The answer in all pieces together; or why it cannot be read, in words."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, MOST_BYTES)
        if not unpacker.eof:
            return f"its answer is cut off, or has more than {MOST_BYTES >> 20} MiB"
        found = msgspec.json.decode(data, type=Answer)
    except zlib.error as error:
        return f"its answer cannot be unpacked: {error}"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"its answer cannot be read: {' '.join(str(error).split())[:160]}"
    if found.wire > WIRE:
        return f"its torchdoctor ({found.torchdoctor[:40]}) answers in a newer way: upgrade torchdoctor here"
    return found
