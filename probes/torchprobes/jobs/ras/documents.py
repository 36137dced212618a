"""RAS's answer as JSON (NCCL 2.28.7 and later), as types. Pure.

JSON gives every rank's counts and leaves the judgement to its reader: the complaints that the text form makes of them
are made here by the same rules (src/ras/client_support.cc).

NCCL 2.28.9 writes no JSON once a rank is missing: a comma is wanting there, before `status` by where it was seen (byte
1088 of an answer about two ranks of which one had ended); later releases have it. It is put in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ...rank_evidence import Ras, RasCommunicator, RasRank

_IN_PROGRESS: Final = 7
"""ncclInProgress: neither done nor an error."""


class BadAnswer(Exception):
    """The answer is not understood; the text says why, in one line."""


class _Status(msgspec.Struct):
    init_state: int | None = None
    async_error: int | None = None
    finalize_called: bool = False
    destroy_flag: bool = False
    abort_flag: bool = False
    unresponsive: bool = False
    considered_dead: bool = False


class _Rank(msgspec.Struct):
    rank: int
    host: str = ""
    pid: int = -1
    cuda_dev: int | None = None
    nvml_dev: int | None = None
    status: _Status = msgspec.field(default_factory=_Status)
    collective_counts: dict[str, int] = msgspec.field(default_factory=dict)


class _Communicator(msgspec.Struct):
    hash: str = ""
    size: int | None = None
    ranks: list[_Rank] = msgspec.field(default_factory=list)
    missing_ranks: list[_Rank] = msgspec.field(default_factory=list)


class _Document(msgspec.Struct):
    nccl_version: str = ""
    communicators: list[_Communicator] = msgspec.field(default_factory=list)


_decoder: Final = msgspec.json.Decoder(_Document)

_WANTING: Final = re.compile(rb'(?<=[\d"\]}el])(\n *)(?=["{])')
"""Where a line ends with a value and the next begins with another one: JSON has a comma between them."""

_VERSION: Final = re.compile(rb'"nccl_version": *"([\w.+-]{1,32})"')


def parse_json(data: bytes, t_ns: int) -> Ras:
    """An answer in JSON, be it that commas are wanting at the ends of its lines.

    Raises:
        BadAnswer: it is none.
    """
    try:
        return _parsed(data, t_ns)
    except BadAnswer:
        mended, wanting = _WANTING.subn(rb",\1", data)
        if not wanting:
            raise
        found = _parsed(mended, t_ns)
        return replace(found, note=f"JSON of {version_in(data)} lacks a comma here; it was put in")


def version_in(data: bytes) -> str:
    """Which NCCL an answer in JSON comes from, in words; it need not be whole."""
    found = _VERSION.search(data[:4096])
    return f"NCCL {found[1].decode()}" if found else "this NCCL"


def _parsed(data: bytes, t_ns: int) -> Ras:
    try:
        document = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadAnswer(f"RAS's JSON is not understood: {error}") from None
    return Ras(
        t_ns=t_ns,
        how="json",
        nccl_version=document.nccl_version[:64],
        communicators=tuple(_communicator(one) for one in document.communicators),
    )


def _communicator(one: _Communicator) -> RasCommunicator:
    return RasCommunicator(
        id=one.hash.removeprefix("0x")[:64],
        size=one.size,
        ranks=tuple(_rank(rank) for rank in one.ranks),
        missing=tuple(rank.rank for rank in one.missing_ranks),
        complaints=tuple(_complaints(one)),
    )


def _rank(rank: _Rank) -> RasRank:
    return RasRank(
        rank=rank.rank,
        host=rank.host[:64],
        pid=rank.pid if rank.pid > 0 else None,
        cuda_device=rank.cuda_dev,
        nvml_device=rank.nvml_dev,
        counts=rank.collective_counts,
        init_state=rank.status.init_state,
        async_error=rank.status.async_error,
        aborted=rank.status.abort_flag,
        finalized=rank.status.finalize_called or rank.status.destroy_flag,
    )


def _complaints(one: _Communicator) -> Iterator[str]:
    """What RAS itself would say of this communicator."""
    for missing in one.missing_ranks:
        dead, silent = missing.status.considered_dead, missing.status.unresponsive
        what = "is considered dead" if dead else "gives no answer" if silent else "knows nothing of the communicator"
        yield f"{'INCOMPLETE' if dead or silent else 'MISMATCH'}: rank {missing.rank} {what}"
    for rank in one.ranks:
        for what, code in (("initialisation", rank.status.init_state), ("asynchronous", rank.status.async_error)):
            if code not in (None, 0, _IN_PROGRESS):
                yield f"ERROR: rank {rank.rank} reported {what} error {code}"
    statuses = {_status_word(rank.status) for rank in one.ranks}
    if len(statuses) > 1:
        yield f"MISMATCH: ranks have different status ({', '.join(sorted(statuses))})"
    yield from _different_counts(one.ranks)


def _status_word(status: _Status) -> str:
    if status.abort_flag:
        return "ABORT"
    if status.finalize_called or status.destroy_flag:
        return "FINALIZE"
    return "RUNNING" if status.init_state == 0 else "INIT"


def _different_counts(ranks: Sequence[_Rank]) -> Iterator[str]:
    for name in dict.fromkeys(name for rank in ranks for name in rank.collective_counts):
        counts = Counter(rank.collective_counts.get(name, 0) for rank in ranks)
        if len(counts) > 1:
            by_count = sorted(counts.items(), reverse=True)
            told = ", ".join(f"{many} up to {count}" for count, many in by_count[:8])
            yield f"MISMATCH: ranks have launched different numbers of {name} ({told})"
