"""The client of NCCL RAS: a few lines over TCP, with a deadline, and only of the job that is asked about.

Commands of src/ras/client.cc: `CLIENT PROTOCOL 2`, `TIMEOUT seconds`, `SET FORMAT json`, `VERBOSE STATUS`; each of the
first three is answered by one line, the last by the status until the end of the stream. Nothing else is ever sent: some
commands write. Every rank of a node listens on the same port (SO_REUSEPORT), and so do those of another job of the same
user: an answer whose processes are not the job's is thrown away, and the question is asked again.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from ...rank_evidence import Ras
from .documents import BadAnswer, parse_json, version_in
from .peer import holds_other_end
from .text import parse_text

DEFAULT_ADDRESS: Final = "localhost:28028"
MOST_BYTES: Final = 8 << 20
MOST_TRIES: Final = 8
_CHUNK: Final = 1 << 16
_MOST_LINE: Final = 4096
_PROTOCOL: Final = 2


class NoRas(Exception):
    """RAS says nothing of this job; the text says why, in one line."""


class Address(NamedTuple):
    """Where RAS listens."""

    host: str
    port: int


def address_of(text: str) -> Address:
    """`host:port` or `[IPv6]:port` as NCCL_RAS_ADDR has it.

    Raises:
        NoRas: it is neither.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise NoRas(f"NCCL_RAS_ADDR is no address: {text[:80]!r}")
    return Address(host.strip("[]") or "localhost", int(port))


def ask(
    address: str,
    deadline_s: float,
    pids: Collection[int],
    hosts: Collection[str] = (),
    servers: Sequence[int] = (),
) -> Ras:
    """The status of the job whose processes here have these pids, as they see themselves.

    `hosts` are the addresses of this node as the ranks see it: a pid counts only on one of them (none: anywhere).
    `servers` are the same processes as we see them: an answer that names no process (the text of a healthy job) counts
    if one of them holds the other end of the connection.

    Raises:
        NoRas: nobody listens, no answer in time, or none that is of this job.
    """
    deadline = time.monotonic() + deadline_s
    where = address_of(address)
    why = "no answer"
    for _ in range(MOST_TRIES):
        if time.monotonic() >= deadline:
            break
        ras, ours = _once(where, deadline, servers)
        if is_of(ras, pids, hosts) or (ours and not _names_any(ras)):
            return ras
        others = sorted({rank.pid for one in ras.communicators for rank in one.ranks if rank.pid})
        told = f"its processes are {', '.join(map(str, others[:4]))}" if others else "it names no process"
        why = f"RAS at {address} answers for another job ({told})" if others else f"RAS at {address}: {told}"
        if not others:
            break
    raise NoRas(why)


def is_of(ras: Ras, pids: Collection[int], hosts: Collection[str] = ()) -> bool:
    """Whether an answer speaks of at least one of these processes."""
    return any(
        rank.pid in pids and (not hosts or not rank.host or rank.host in hosts)
        for one in ras.communicators
        for rank in one.ranks
    )


def _names_any(ras: Ras) -> bool:
    return any(rank.pid is not None for one in ras.communicators for rank in one.ranks)


def _once(where: Address, deadline: float, servers: Sequence[int]) -> tuple[Ras, bool]:
    """An answer, JSON where it is offered and well made, else text; and whether one of `servers` gave it."""
    said = _converse(where, deadline, servers)
    note = fault = ""
    if said.json:
        try:
            return parse_json(said.body, time.time_ns()), said.ours
        except BadAnswer as error:
            fault = f"{error}; nor is its text: "
            note = f"JSON of {version_in(said.body)} is malformed here; read as text"
        said = _converse(where, deadline, servers, json=False)
    try:
        return replace(parse_text(said.body, time.time_ns()), note=note), said.ours
    except BadAnswer as error:
        raise NoRas(f"{fault}{error}") from None


class _Said(NamedTuple):
    """A status, its form, and whether a process of the job gave it."""

    body: bytes
    json: bool
    ours: bool


def _converse(where: Address, deadline: float, servers: Sequence[int], json: bool = True) -> _Said:
    """One conversation; `json` says whether that form is asked for."""
    with contextlib.closing(_connect(where, deadline)) as server:
        talk = _Talk(server, deadline)
        try:
            greeting = talk.command(f"CLIENT PROTOCOL {_PROTOCOL}")
            if not greeting.upper().startswith("SERVER PROTOCOL "):
                raise NoRas(f"what listens on {where.host}:{where.port} is not RAS")
            patience = max(1, int((deadline - time.monotonic()) * 0.6))
            talk.command(f"TIMEOUT {patience}")
            as_json = json and talk.command("SET FORMAT json").upper() == "OK"
            ours = not as_json and holds_other_end(server, servers)
            return _Said(talk.rest("VERBOSE STATUS"), as_json, ours)
        except TimeoutError:
            raise NoRas(
                "RAS gives no answer within its deadline: its thread in that rank is stopped or stuck"
            ) from None
        except OSError as error:
            raise NoRas(f"RAS: {error.strerror or error}") from None


def _connect(where: Address, deadline: float) -> socket.socket:
    try:
        return socket.create_connection(where, timeout=_left(deadline))
    except ConnectionRefusedError:
        why = f"nobody listens on {where.host}:{where.port}: no NCCL communicator yet, NCCL before 2.24, or RAS is off"
        raise NoRas(why) from None
    except TimeoutError:
        raise NoRas(f"RAS: no connection to {where.host}:{where.port} within its deadline") from None
    except OSError as error:
        raise NoRas(f"RAS at {where.host}:{where.port}: {error.strerror or error}") from None


class _Talk:
    """One connection: commands, and lines that answer them."""

    def __init__(self, server: socket.socket, deadline: float) -> None:
        self._server, self._deadline, self._rest = server, deadline, b""

    def command(self, text: str) -> str:
        """Say a line, hear a line."""
        self._server.settimeout(_left(self._deadline))
        self._server.sendall(f"{text}\n".encode())
        while b"\n" not in self._rest and len(self._rest) < _MOST_LINE:
            if not (piece := self._read()):
                break
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def rest(self, text: str) -> bytes:
        """Say a line, hear everything until the end."""
        self._server.settimeout(_left(self._deadline))
        self._server.sendall(f"{text}\n".encode())
        data = bytearray(self._rest)
        while piece := self._read():
            data += piece
            if len(data) > MOST_BYTES:
                raise NoRas(f"RAS's answer is larger than {MOST_BYTES >> 20} MiB")
        return bytes(data)

    def _read(self) -> bytes:
        self._server.settimeout(_left(self._deadline))
        return self._server.recv(_CHUNK)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
