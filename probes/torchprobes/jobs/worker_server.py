"""The worker server that torch offers in a rank, over a Unix socket: stacks and flight recorder without a signal.

In torch since 2.5; that of 2.6 answers a POST only if it says how long its body is. Its handlers: `ping`,
`dump_traceback` (needs the interpreter lock), `fr_trace_json` (2.8), `dump_nccl_trace_json` (builds with NCCL). The
socket must be that of the rank: its file's owner and the process at the other end are compared.

There are two recorders: NCCL records into one of its own, all other back ends share another. `fr_trace_json` answers
for the latter alone, and leaves out what is known to have completed (FlightRecorder.cpp, Handlers.cpp: nothing, for
gloo tells no completion); a build with NCCL has both handlers, and of a job on GPUs the first is empty.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import struct
import time
from typing import Final

from ..distributed import RankIdentity

RECORDERS: Final = ("dump_nccl_trace_json", "fr_trace_json")
"""The handlers of both flight recorders. Where both hold something (`cpu:gloo,cuda:nccl`), NCCL's is the job's."""

MOST_BYTES: Final = 16 << 20
_HEAD_BYTES: Final = 16 << 10
_CHUNK: Final = 1 << 18
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d{1,12})\s*\r\n", re.IGNORECASE)


class NoAnswer(Exception):
    """The server gave no answer that can be used; the text says why, in one line."""


def ask(path: str, handler: str, rank: RankIdentity, deadline_s: float, most: int = MOST_BYTES) -> bytes:
    """The body that one handler answers.

    Raises:
        NoAnswer: the socket is not the rank's, there is no such handler, or no answer in time.
    """
    deadline = time.monotonic() + deadline_s
    _check_file(path, rank)
    with contextlib.closing(_connect(path, deadline)) as server:
        _check_peer(server, rank)
        request = (
            f"POST /handler/{handler} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        try:
            server.sendall(request.encode())
            return _body(server, deadline, most)
        except TimeoutError:
            raise NoAnswer(f"{handler}: no answer within its deadline") from None
        except OSError as error:
            raise NoAnswer(f"{handler}: {error.strerror or error}") from None


def handlers(path: str, rank: RankIdentity, deadline_s: float) -> frozenset[str]:
    """Which of the handlers that are of use here it has: it is asked for its list.

    Raises:
        NoAnswer: as `ask`.
    """
    deadline = time.monotonic() + deadline_s
    _check_file(path, rank)
    with contextlib.closing(_connect(path, deadline)) as server:
        _check_peer(server, rank)
        try:
            server.sendall(b"GET /handler/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            body = _body(server, deadline, _HEAD_BYTES)
        except OSError as error:
            raise NoAnswer(f"no list of handlers: {error.strerror or error}") from None
    return frozenset(re.findall(r'"(\w{1,64})"', body.decode(errors="replace")))


def _check_file(path: str, rank: RankIdentity) -> None:
    try:
        found = os.lstat(path)
    except OSError as error:
        raise NoAnswer(f"{path}: {error.strerror}") from None
    if not stat.S_ISSOCK(found.st_mode):
        raise NoAnswer(f"{path} is no socket")
    if rank.uid is not None and found.st_uid != rank.uid:
        raise NoAnswer(f"{path} belongs to uid {found.st_uid}, the rank to uid {rank.uid}")


def _connect(path: str, deadline: float) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        server.settimeout(_left(deadline))
        server.connect(path)
    except OSError as error:
        server.close()
        raise NoAnswer(f"{path}: {error.strerror or error}") from None
    return server


def _check_peer(server: socket.socket, rank: RankIdentity) -> None:
    """Whether the one who listens is the rank (unix(7), SO_PEERCRED; a pid of our own namespace, 0 if it has none)."""
    pid, uid, _ = struct.unpack("3i", server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if pid not in (rank.pid, 0):
        raise NoAnswer(f"the socket is served by process {pid}, not by the rank's {rank.pid}")
    if rank.uid is not None and uid != rank.uid:
        raise NoAnswer(f"the socket is served by uid {uid}, the rank is of uid {rank.uid}")


def _body(server: socket.socket, deadline: float, most: int) -> bytes:
    data, head, length = bytearray(), -1, None
    while head < 0 or length is None or len(data) < head + length:
        server.settimeout(_left(deadline))
        piece = server.recv(_CHUNK)
        if not piece:
            break
        data += piece
        if len(data) > most + _HEAD_BYTES:
            raise NoAnswer(f"the answer is larger than {most >> 20} MiB")
        if head < 0 and (end := data.find(b"\r\n\r\n")) >= 0:
            head = end + 4
            found = _LENGTH.search(bytes(data[:head]))
            length = int(found[1]) if found else None
    status = _STATUS.match(bytes(data[:32]))
    if head < 0 or status is None:
        raise NoAnswer("the answer is no HTTP")
    if status[1] != b"200":
        raise NoAnswer("no such handler" if status[1] == b"404" else f"it answered {status[1].decode()}")
    if length is not None and len(data) < head + length:
        raise NoAnswer("the answer broke off")
    return bytes(data[head:])


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
