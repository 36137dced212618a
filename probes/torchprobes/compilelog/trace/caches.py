"""`fx_graph_cache_hit`, `aotautograd_cache_miss`, ...: a compile cache was asked (torch 2.4 to the newest).

Until torch 2.6 some are called `..._hash`, and only their payload says what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from ..events import CacheAsked, CacheState, Event
from .context import Entry
from .envelope import Decoder, clean

MAX_REASON = 1 << 12

_STATES: Final = {str(state): state for state in get_args(CacheState)}


class _Info(msgspec.Struct):
    """`cache_info` of torch/_inductor/codecache.py and of torch/_functorch/_aot_autograd/autograd_cache.py."""

    key: str | None = None
    cache_state: str | None = None
    cache_status_detailed: str | None = None
    cache_bypass_reason: str | None = None
    cache_bypass_exception_type: str | None = None
    time_saved_ns: float | None = None


_INFO = Decoder.of(_Info)


def cache_asked(entry: Entry) -> Sequence[Event]:
    """What was asked, and what came of it."""
    entry.plain()
    what, _, state = entry.name.rpartition("_")
    info: _Info = _INFO.decode(entry.record.payload()) if entry.record.payload_size else _Info()
    told: CacheState | None = _STATES.get(state) or _STATES.get(info.cache_state or "")
    if told is None:
        return ()
    reason = info.cache_bypass_reason or info.cache_bypass_exception_type or info.cache_status_detailed
    why = clean(reason, MAX_REASON) if told != "hit" else ""
    saved = None if info.time_saved_ns is None else info.time_saved_ns / 1e9
    return (CacheAsked(entry.source, what.removesuffix("_cache"), told, clean(info.key, 200), why, saved),)
