"""`chromium_event`: phases of compiles begin and end. Half of a trace's bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..events import Event, PhaseBegan, PhaseEnded
from .context import Entry
from .envelope import Decoder, clean
from .tuned import SUFFIX, tuned

MAX_NAME = 256


class _Args(msgspec.Struct):
    compile_id: str | None = None


class _Chromium(msgspec.Struct):
    """`_log_timed_event` in torch/_dynamo/utils.py."""

    name: str
    ts: float
    ph: str
    args: _Args | None = None


_CHROMIUM = Decoder.of(_Chromium)
_PHASES: dict[str, type[PhaseBegan | PhaseEnded]] = {"B": PhaseBegan, "E": PhaseEnded}


def phase(entry: Entry) -> Sequence[Event]:
    """A phase that begins or ends; instants (`i`) only repeat what artefacts say."""
    payload = entry.record.payload()
    said: _Chromium = _CHROMIUM.decode(payload)
    entry.context.clock.learn(entry.at_s, said.ts / 1e6)
    kind = _PHASES.get(said.ph)
    if kind is None:
        return ()
    compile_id = said.args.compile_id if said.args else None
    entry.plain(None if compile_id == "None" else compile_id)  # torch writes str(None) outside of any compile
    end = kind(entry.source, clean(said.name, MAX_NAME), said.ts)
    if kind is PhaseEnded and said.name.endswith(SUFFIX) and (winner := tuned(entry.source, said.name, payload)):
        return (winner, end)
    return (end,)
