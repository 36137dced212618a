"""Dumps of the flight recorder as types, JSON and pickle, of torch 2.2 to the newest. Pure.

Of a full ring of 2000 operations only the newest are kept (`NEWEST`): a JSON dump is cut into entries without decoding
them, so that memory stays small. A dump is hostile: every list is cut, every number checked, nothing is walked whole.

What back ends leave out: gloo says `scheduled` for ever, has no times of start and end, and knows the ranks of no group
(torch 2.13: `pg_config` has one key, "", for whatever group was made last), so that those are not believed. Its
`pg_status` counts sends and receives among the collectives, which differ from rank to rank by nature, and NCCL's may
hold the number of either: how far a rank has come is counted from the operations wherever there are any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ...rank_evidence import Collective, Flight, Frame, GroupStatus
from .pickles import NotData, load

NEWEST: Final = 200
MOST_BYTES: Final = 64 << 20
_MOST_GROUPS: Final = 256
_MOST_RANKS: Final = 1 << 16
_MOST_TENSORS: Final = 32
_MOST_DIMENSIONS: Final = 16
_MOST_FRAMES: Final = 48
_MOST_TEXT: Final = 512
_HUGE: Final = 1 << 63

_OPS: Final[Mapping[str, str]] = {
    "allreduce": "all_reduce",
    "all_reduce_barrier": "barrier",
    "_all_gather_base": "all_gather_into_tensor",
    "_allgather_base": "all_gather_into_tensor",
    "_reduce_scatter_base": "reduce_scatter_tensor",
    "_broadcast_oop": "broadcast",
    "_reduce_oop": "reduce",
}
"""A back end's own name of an operation -> the function of torch.distributed that a person calls."""

_P2P: Final = re.compile(r"^(send|recv)\b")


class BadDump(Exception):
    """The bytes are no dump of a flight recorder; the text says why, in one line."""


class _Document(msgspec.Struct):
    entries: list[msgspec.Raw] = msgspec.field(default_factory=list)
    pg_config: dict[str, Any] = msgspec.field(default_factory=dict)
    pg_status: dict[str, Any] = msgspec.field(default_factory=dict)
    version: Any = ""


def parse(data: bytes, how: str, t_ns: int) -> Flight:
    """A dump of either kind: JSON begins with a brace.

    Raises:
        BadDump: it is neither.
    """
    return parse_json(data, how, t_ns) if data[:64].lstrip().startswith(b"{") else parse_pickle(data, how, t_ns)


def parse_json(data: bytes, how: str, t_ns: int) -> Flight:
    """A dump as JSON.

    Raises:
        BadDump: it is none.
    """
    if len(data) > MOST_BYTES:
        raise BadDump(f"the dump is larger than {MOST_BYTES >> 20} MiB")
    try:
        document = msgspec.json.decode(data, type=_Document)
        entries = [msgspec.json.decode(raw) for raw in document.entries[-NEWEST:]]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadDump(f"the dump is not understood: {error}") from None
    return _flight(document.version, document.pg_config, document.pg_status, entries, how, t_ns)


def parse_pickle(data: bytes, how: str, t_ns: int) -> Flight:
    """A dump as a pickle, as torch writes it to files.

    Raises:
        BadDump: it is none, or more than plain data.
    """
    try:
        found = load(data)
    except NotData as error:
        raise BadDump(str(error)) from None
    if isinstance(found, list):  # torch 2.2: the entries alone
        found = {"entries": found}
    if not isinstance(found, dict) or not isinstance(found.get("entries", []), list):
        raise BadDump("the pickle is no dump of a flight recorder")
    config, status = _mapping(found.get("pg_config")), _mapping(found.get("pg_status"))
    return _flight(found.get("version", ""), config, status, found.get("entries", [])[-NEWEST:], how, t_ns)


def _flight(
    version: object, config: Mapping[Any, Any], status: Mapping[Any, Any], entries: Sequence[Any], how: str, t_ns: int
) -> Flight:
    told = tuple(_collective(_mapping(entry)) for entry in entries if isinstance(entry, dict))
    backend = next((name for entry in reversed(entries) if (name := _backend(_mapping(entry)))), "")
    return Flight(
        t_ns=t_ns,
        how=how,
        version=_text(version),
        backend=backend,
        groups=_groups(config, status, entries, told),
        entries=told,
    )


# --- operations ------------------------------------------------------------------------------------------------------


def _collective(entry: Mapping[str, Any]) -> Collective:
    p2p = entry.get("is_p2p") is True
    return Collective(
        group=_group_of(entry)[0],
        seq=_whole(entry.get("p2p_seq_id" if p2p else "collective_seq_id", entry.get("seq_id"))) or 0,
        op=op_name(_text(entry.get("profiling_name"))),
        state=_text(entry.get("state")),
        input_sizes=_sizes(entry.get("input_sizes")),
        output_sizes=_sizes(entry.get("output_sizes")),
        dtypes=tuple(_text(name) for name in _few(entry.get("input_dtypes"), _MOST_TENSORS)),
        created_ns=_whole(entry.get("time_created_ns")) or 0,
        started_ns=_whole(entry.get("time_discovered_started_ns")) or 0,
        completed_ns=_whole(entry.get("time_discovered_completed_ns")) or 0,
        retired=entry.get("retired") is True,
        timeout_ms=_whole(entry.get("timeout_ms")),
        p2p=p2p,
        frames=tuple(_frame(_mapping(frame)) for frame in _few(entry.get("frames"), _MOST_FRAMES)),
    )


def op_name(profiling_name: str) -> str:
    """The operation of `gloo:all_reduce` or `nccl:send 0->1`, in the words of torch.distributed."""
    name = profiling_name.rpartition(":")[2].strip()
    if found := _P2P.match(name):
        return found[1]
    return _OPS.get(name, name)


def _backend(entry: Mapping[str, Any]) -> str:
    name, colon, _ = _text(entry.get("profiling_name")).partition(":")
    return name if colon else ""


def _frame(frame: Mapping[str, Any]) -> Frame:
    line = _whole(frame.get("line"))
    return Frame(function=_text(frame.get("name")) or "?", file=_text(frame.get("filename")), line=line)


def _sizes(value: object) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(size for one in _few(shape, _MOST_DIMENSIONS) if (size := _whole(one)) is not None)
        for shape in _few(value, _MOST_TENSORS)
    )


# --- groups ----------------------------------------------------------------------------------------------------------


def _groups(
    config: Mapping[Any, Any], status: Mapping[Any, Any], entries: Sequence[Any], told: Sequence[Collective]
) -> tuple[GroupStatus, ...]:
    """One status a group that the recorder knows, from its operations, its status and its configuration."""
    described = dict(_group_of(_mapping(entry)) for entry in entries)
    keys = _status_keys(entries)
    named = {key: name for name, key in keys.items()}
    statuses = [named.get(key, key) for key in _names(status)]
    names = dict.fromkeys([*islice(described, _MOST_GROUPS), *statuses, *_names(config)])
    return tuple(
        _with_progress(
            GroupStatus(
                group=name,
                description=described.get(name) or _text(_mapping(config.get(name)).get("desc")),
                ranks=_ranks(_mapping(config.get(name)).get("ranks")),
                enqueued=_progress(status, keys.get(name, name), "last_enqueued_collective"),
                started=_progress(status, keys.get(name, name), "last_started_collective"),
                completed=_progress(status, keys.get(name, name), "last_completed_collective"),
            ),
            [one for one in told if one.group == name and not one.p2p],
        )
        for name in names
        if name
    )


def _with_progress(group: GroupStatus, own: Sequence[Collective]) -> GroupStatus:
    """The group with its numbers counted from its collectives, if the ring holds any."""
    if not own:
        return group
    first, last = min(one.seq for one in own), max(one.seq for one in own)
    before = first - 1 or -1
    return replace(
        group,
        enqueued=last,
        started=max((one.seq for one in own if one.started_ns), default=min(group.started or -1, before)),
        completed=max((one.seq for one in own if one.retired or one.state == "completed"), default=before),
    )


def _names(table: Mapping[Any, Any]) -> list[str]:
    return [name for name in islice(table, _MOST_GROUPS) if isinstance(name, str)]


def _group_of(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Name and description of the group of an operation; early dumps have only a number."""
    named = _few(entry.get("process_group"), 2)
    if len(named) == 2:
        description = _text(named[1])
        return _text(named[0]), "" if description == "undefined" else description
    number = _whole(entry.get("pg_id"))
    return ("" if number is None else str(number)), ""


def _status_keys(entries: Sequence[Any]) -> dict[str, str]:
    """Group -> its key in the status: a number of this process's own, which only the operations tie to the name."""
    found = {}
    for entry in map(_mapping, entries):
        name, number = _group_of(entry)[0], _whole(entry.get("pg_id"))
        if name and number is not None:
            found[name] = str(number)
    return found


def _progress(status: Mapping[Any, Any], name: str, key: str) -> int | None:
    return _whole(_mapping(status.get(name)).get(key))


def _ranks(value: object) -> tuple[int, ...]:
    """The members of a group: a list, or a text that holds one."""
    if isinstance(value, str) and len(value) <= 8 * _MOST_RANKS:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ()
    return tuple(rank for one in _few(value, _MOST_RANKS) if (rank := _whole(one)) is not None and rank >= 0)


# --- what may be believed --------------------------------------------------------------------------------------------


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _few(value: object, most: int) -> Sequence[Any]:
    return value[:most] if isinstance(value, (list, tuple)) else ()


def _text(value: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in value[:_MOST_TEXT]) if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    """A whole number, which JSON dumps write as a text in places."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -_HUGE < value < _HUGE else None  # type: ignore[operator, return-value]
