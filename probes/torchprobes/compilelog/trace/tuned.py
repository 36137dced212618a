"""What max-autotune chose: the end of a phase `addmm_template_autotuning` says it (torch 2.8 to the newest).

Only the winner: the whole table is printed to stderr (`_log_autotune_choices_stats` in
torch/_inductor/select_algorithm.py).
"""

from __future__ import annotations

import msgspec

from ..events import Autotuned, Source
from .envelope import Broken, Decoder, clean

SUFFIX = "_template_autotuning"
MAX_TEXT = 1 << 12


class _Stats(msgspec.Struct):
    best_kernel: str | None = None
    best_time: float | None = None
    """Milliseconds."""


class _Args(msgspec.Struct):
    autotune_shape: str = ""
    autotune_choices_stats: str = ""


class _End(msgspec.Struct):
    args: _Args = msgspec.field(default_factory=_Args)


_END, _STATS = Decoder.of(_End), Decoder.of(_Stats)


def tuned(source: Source, name: str, payload: bytes) -> Autotuned | None:
    """The winner; None where the phase does not say one."""
    try:
        args: _Args = _END.decode(payload).args
        stats: _Stats = _STATS.decode(args.autotune_choices_stats.encode("utf-8", "replace"))
    except Broken:
        return None  # the phase's end is told all the same
    if not stats.best_kernel or stats.best_time is None:
        return None
    winner = (clean(stats.best_kernel, MAX_TEXT), stats.best_time)
    return Autotuned(
        source, clean(name.removesuffix(SUFFIX), MAX_TEXT), clean(args.autotune_shape, MAX_TEXT), (winner,)
    )
