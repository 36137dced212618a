"""When a rank called each of its collectives, from a dump as JSON, and nothing else: a tenth of the cost of all of it.

`time_created_ns` is the wall clock of the host at the call. On a GPU the host may run ahead of its device: it tells
when a rank came, not when its device did.
"""

from __future__ import annotations

import msgspec

from .parse import MOST_BYTES, BadDump

MOST_TEXT = 512

Call = tuple[str, int]
"""The group's name, and the number of the collective in it."""


class _Entry(msgspec.Struct, gc=False):
    process_group: tuple[str, str] | None = None
    pg_id: int | str | None = None
    collective_seq_id: int | str | None = None
    seq_id: int | str | None = None
    is_p2p: bool = False
    time_created_ns: int | str | None = None


class _Dump(msgspec.Struct):
    entries: list[_Entry] = msgspec.field(default_factory=list)


_decoder = msgspec.json.Decoder(_Dump)


def call_times(data: bytes, newest: int) -> dict[Call, int]:
    """The wall clock, ns, of each call among the newest entries, oldest first; sends and receives are left out.

    Raises:
        BadDump: it is no dump.
    """
    if len(data) > MOST_BYTES:
        raise BadDump(f"the dump is larger than {MOST_BYTES >> 20} MiB")
    try:
        entries = _decoder.decode(data).entries[-newest:]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadDump(f"the dump is not understood: {error}") from None
    found: dict[Call, int] = {}
    for entry in entries:
        t_ns, seq = _whole(entry.time_created_ns), _whole(entry.collective_seq_id or entry.seq_id)
        if t_ns and seq and not entry.is_p2p:
            group = entry.process_group[0][:MOST_TEXT] if entry.process_group else str(entry.pg_id)[:MOST_TEXT]
            found[group, seq] = t_ns
    return found


def _whole(value: int | str | None) -> int:
    """A number above 0, also one written as a text; 0 for anything else."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0
    return value if value is not None and 0 < value < 1 << 63 else 0
